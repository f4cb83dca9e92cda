package transform

import (
	"slices"
	"strings"
	"testing"

	"sinker/internal/pgbin"
)

func names(columns []TableColumn) string {
	var list []string
	for _, c := range columns {
		list = append(list, c.Name)
	}
	return strings.Join(list, " ")
}

func leftOf(p *Plan) (names []string) {
	for _, l := range p.LeftToPostgres() {
		names = append(names, l.Column)
	}
	return names
}

func TestCompileColumns(t *testing.T) {
	table := columns(t, "a int!", "b text", "made int=", "kafka_offset bigint", "k uuid!")
	table.Columns = append(table.Columns, TableColumn{Name: "always", Type: pgbin.OfKind(pgbin.Int8, -1), NotNull: true, Generated: true, HasDefault: true},
		TableColumn{Name: "ident", Type: pgbin.OfKind(pgbin.Int8, -1), NotNull: true, Identity: true, HasDefault: true},
		TableColumn{Name: "odd", Type: pgbin.Type{OID: 600, Name: "point"}, HasDefault: true},
		TableColumn{Name: "constant", Type: pgbin.OfKind(pgbin.Text, -1), NotNull: true, HasDefault: true, Default: []byte("x")})
	for _, test := range []struct {
		name, want string
		rule       Rule
		keys       int
		left       []string
	}{
		{"by name", "a b made kafka_offset k constant", Rule{}, 0, []string{"ident", "odd"}},
		{"by name with a key", "k a b made kafka_offset constant", Rule{Key: []string{"k"}}, 1, []string{"ident", "odd"}},
		{"by name with provenance", "a b made k constant kafka_offset", Rule{Meta: []string{"offset"}}, 0, []string{"ident", "odd"}},
		{"a key with a computed default", "made a b kafka_offset k constant", Rule{Key: []string{"made"}}, 1, []string{"ident", "odd"}},
		{"a key that is an identity", "ident a b made kafka_offset k constant", Rule{Key: []string{"ident"}}, 1, []string{"odd"}},
		{"a listed identity", "k ident a", Rule{Columns: []Column{{Name: "k"}, {Name: "ident"}, {Name: "a"}}}, 0, nil},
		{"listed", "k a", Rule{Columns: []Column{{Name: "k"}, {Name: "a"}}}, 0, nil},
		{"listed with keys", "a k made", Rule{Columns: []Column{{Name: "made"}, {Name: "k"}, {Name: "a"}}, Key: []string{"a", "k"}}, 2, nil},
	} {
		p, err := Compile(test.rule, table)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := names(p.Columns()); got != test.want || p.KeyColumns() != test.keys || !slices.Equal(leftOf(p), test.left) {
			t.Errorf("%s: columns %s, %d of them keys, left %v; want %s, %d, %v", test.name, got, p.KeyColumns(), leftOf(p), test.want, test.keys, test.left)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	table := columns(t, "id bigint!", "total numeric(12,2)", "note text", "made int!=", "doc json", "docb jsonb", "ver interval", "at timestamptz")
	table.Columns = append(table.Columns, TableColumn{Name: "always", Type: pgbin.OfKind(pgbin.Int8, -1), Generated: true}, TableColumn{Name: "ident", Type: pgbin.OfKind(pgbin.Int8, -1), Identity: true, HasDefault: true},
		TableColumn{Name: "shape", Type: pgbin.Type{OID: 600, Name: "point"}},
		TableColumn{Name: "span", Type: pgbin.Type{Kind: pgbin.Interval, OID: 1186, Typmod: 4<<16 | 0xffff}}, TableColumn{Name: "ci", Type: pgbin.TextType(70000, "public.citext")})
	id := Column{Name: "id"}
	for _, test := range []struct {
		rule Rule
		says string
	}{
		{Rule{Columns: []Column{id, {Name: "totl"}}}, "table t has no column totl (did you mean total?); it has id, total,"},
		{Rule{Columns: []Column{{Name: "note"}}}, "column id of table t is NOT NULL without a default, and nothing fills it"},
		{Rule{Columns: []Column{id, id}}, "column id is there twice"},
		{Rule{Columns: []Column{id, {Name: "always"}}}, "column always: Postgres generates it from other columns and takes no value; take it out of columns:"},
		{Rule{Columns: []Column{id}, Key: []string{"always"}}, "key column always of table t is generated from other columns"},
		{Rule{Columns: []Column{id, {Name: "ident"}}, Key: []string{"id"}}, "column ident: it is GENERATED ALWAYS AS IDENTITY, and Postgres does not let an upsert change it"},
		{Rule{Columns: []Column{id, {Name: "shape"}}}, "column shape: type point cannot be written"},
		{Rule{Columns: []Column{id, {Name: "span"}}}, "column span: an interval of some fields only"},
		{Rule{Columns: []Column{id, {Name: "total", Type: "numeric(12,3)"}}}, "column total: it is numeric(12,2) in table t and numeric(12,3) in the configuration"},
		{Rule{Columns: []Column{id, {Name: "total", Type: "nmeric"}}}, `unknown type "nmeric"; did you mean "numeric"?`},
		{Rule{Columns: []Column{id, {Name: "note", Path: "a..b"}}}, `column note: path "a..b": there is nothing between two dots`},
		{Rule{Columns: []Column{id, {Name: "note", Path: "$offst"}}}, `path "$offst" is not known (did you mean $offset?)`},
		{Rule{Columns: []Column{id, {Name: "note", Path: "$timestamp"}}}, "column note: it is text in the table, and $timestamp goes only into timestamp with time zone"},
		{Rule{Columns: []Column{id, {Name: "at", Path: "$offset"}}}, "column at: it is timestamp with time zone in the table, and $offset goes only into smallint"},
		{Rule{Columns: []Column{id}, Key: []string{"note"}}, "key column note is not among the columns of table t that are filled"},
		{Rule{Columns: []Column{id}, Key: []string{"idd"}}, "(did you mean id?)"},
		{Rule{Columns: []Column{id}, Key: []string{"id", "id"}}, "key column id is there twice"},
		{Rule{Columns: []Column{id, {Name: "doc"}}, Key: []string{"doc"}}, "column doc: type json cannot be a key"},
		{Rule{Columns: []Column{id, {Name: "docb"}}, Key: []string{"docb"}}, "column docb: type jsonb cannot be a key"},
		{Rule{Columns: []Column{id, {Name: "ver"}}, Key: []string{"ver"}}, "column ver: type interval cannot be a key"},
		{Rule{Columns: []Column{id, {Name: "ci"}}, Key: []string{"ci"}}, "column ci: type public.citext cannot be a key"},
		{Rule{Columns: []Column{id}, Tombstones: true}, "delete rows only of a table with a key"},
		{Rule{Columns: []Column{id}, Meta: []string{"ofset"}}, `meta "ofset" is not known (did you mean offset?)`},
		{Rule{Columns: []Column{id}, Meta: []string{"offset"}}, "meta offset needs a column kafka_offset in table t: ALTER TABLE … ADD COLUMN kafka_offset bigint"},
		{Rule{Columns: []Column{id}, MaxDepth: 20000}, "between 1 and 10000"},
		{Rule{Columns: []Column{id, {Name: strings.Repeat("x", 64)}}}, "the name has 64 bytes and Postgres keeps 63"},
		{Rule{Columns: []Column{id, {Name: "a\x00b"}}}, "is not valid text"},
		{Rule{Columns: []Column{id, {Name: ""}}}, "empty name"},
	} {
		if _, err := Compile(test.rule, table); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v:\n got %v\nwant %s", test.rule, err, test.says)
		}
	}
	if _, err := Compile(Rule{}, Table{Name: "empty"}); err == nil || !strings.Contains(err.Error(), "no column to fill") {
		t.Errorf("a table without columns: %v", err)
	}
}

// TestDeclaredTypeMayBeSpelledOtherwise: a declared type that is spelled otherwise is still the same type.
func TestDeclaredTypeMayBeSpelledOtherwise(t *testing.T) {
	table := columns(t, "a character varying(5)", "b timestamp with time zone", "c int[]", "d char")
	table.Columns = append(table.Columns, TableColumn{Name: "e", Type: pgbin.TextType(70000, "public.citext")})
	r := Rule{Columns: []Column{{Name: "a", Type: "VARCHAR( 5 )"}, {Name: "b", Type: "timestamptz"}, {Name: "c", Type: "int4[][]"}, {Name: "d", Type: "character(1)"}, {Name: "e", Type: "citext"}}}
	if _, err := Compile(r, table); err != nil {
		t.Error(err)
	}
}

func TestDeclared(t *testing.T) {
	r := Rule{Columns: []Column{{Name: "id", Type: "bigint"}, {"total", "amount.total", "numeric(12,2)"}}, Key: []string{"id"},
		Meta: []string{"topic", "partition", "offset", "timestamp", "key", "headers"}}
	table, err := r.Declared("sales", "orders")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range table.Columns {
		got = append(got, c.Name+" "+c.Type.String()+map[bool]string{true: " NOT NULL"}[c.NotNull])
	}
	want := "id bigint NOT NULL, total numeric(12,2), kafka_topic text, kafka_partition integer, kafka_offset bigint, kafka_timestamp timestamp with time zone, kafka_key bytea, kafka_headers jsonb"
	if s := strings.Join(got, ", "); s != want || table.Schema != "sales" || table.Name != "orders" {
		t.Errorf("%s.%s: %s\nwant %s", table.Schema, table.Name, s, want)
	}
	if _, err := Compile(r, table); err != nil {
		t.Errorf("the declared table does not take its own rule: %v", err)
	}
	for _, test := range []struct {
		rule Rule
		says string
	}{
		{Rule{}, "would have no column"},
		{Rule{Columns: []Column{{Name: "id"}}}, "column id has no type"},
		{Rule{Columns: []Column{{Name: "id", Type: "bigserial"}}}, "unknown type"},
		{Rule{Columns: []Column{{Name: "id", Type: "int"}, {Name: "id", Type: "int"}}}, "there twice"},
		{Rule{Columns: []Column{{Name: "id", Type: "int"}}, Key: []string{"ID"}}, "key column ID is not among the columns (did you mean id?)"},
	} {
		if _, err := test.rule.Declared("s", "t"); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v, want %s", test.rule, err, test.says)
		}
	}
}

func TestParseType(t *testing.T) {
	for spelled, want := range map[string]string{
		"BIGINT": "bigint", " double  precision ": "double precision", "float(24)": "real", "decimal(5)": "numeric(5,0)", "char": "character(1)", "bpchar": "bpchar",
		"Timestamp (3) With Time Zone": "timestamp(3) with time zone", "int[3][ ]": "integer[]", "citext[]": "citext[]", "public.citext": "public.citext", "varchar": "character varying",
	} {
		if typ, err := pgbin.ParseType(spelled); err != nil || typ.String() != want {
			t.Errorf("%q: %v, %v; want %s", spelled, typ, err, want)
		}
	}
	for spelled, says := range map[string]string{
		"bigit": `did you mean "bigint"?`, "order_status": "leave the type out", "numeric(12,2": "not closed", "numeric(x)": `"x" is not a number`, "numeric(1001)": "between 1 and 1000",
		"numeric(5,1001)": "between -1000 and 1000", "varchar(0)": "between 1 and 10485760", "timestamp(7)": "between 0 and 6", "text(5)": "text does not take (5)", "numeric(1,2,3)": "does not take (1,2,3)", "": "unknown type",
		"int[x]": "unknown type", "float(54)": "between 1 and 53",
	} {
		if typ, err := pgbin.ParseType(spelled); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %v; want %s", spelled, typ, err, says)
		}
	}
}

func TestParsePath(t *testing.T) {
	for s, want := range map[string]path{
		"a": {fields: []string{"a"}}, "a.b.c": {fields: []string{"a", "b", "c"}}, `"a.b".c`: {fields: []string{"a.b", "c"}}, `a."\u00e9\""`: {fields: []string{"a", `é"`}}, `""`: {fields: []string{""}},
		`"$key"`: {fields: []string{"$key"}}, ".": {origin: fromValue}, "$key": {origin: fromKey}, "$key.a.b": {origin: fromKeyField, fields: []string{"a", "b"}},
		"$headers": {origin: fromHeaders}, "$headers.trace.id": {origin: fromHeader, header: "trace.id"}, `$headers."x y"`: {origin: fromHeader, header: "x y"}, "a-b@c": {fields: []string{"a-b@c"}},
	} {
		if got, err := parsePath(s); err != nil || got.origin != want.origin || got.header != want.header || !slices.Equal(got.fields, want.fields) {
			t.Errorf("%s: %+v, %v; want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "a.", ".a", "a..b", `"a`, `"a"b`, `"\x"`, "a[0]", "a b", "$keys", "$headers.", "$key."} {
		if got, err := parsePath(s); err == nil {
			t.Errorf("%q is taken: %+v", s, got)
		}
	}
	for _, name := range []string{"a", "a.b", "$key", `q"`, `back\slash`, "", "[x]", "sp ace", "é\n"} {
		if got, err := parsePath(quoteSegment(name)); err != nil || len(got.fields) != 1 || got.fields[0] != name {
			t.Errorf("%q is quoted as %s, which is %+v, %v", name, quoteSegment(name), got, err)
		}
	}
}
