package transform

import (
	"fmt"
	"slices"
	"strings"

	"sinker/internal/format"
	"sinker/internal/pgbin"
)

// Compile makes the plan that fills a table by a rule. Its errors name the column and what to change.
func Compile(r Rule, t Table) (*Plan, error) {
	if r.MaxDepth < 0 || r.MaxDepth > mostDepth {
		return nil, fmt.Errorf("the nesting depth must be between 1 and %d", mostDepth)
	}
	if r.Tombstones && len(r.Key) == 0 {
		return nil, fmt.Errorf("records with a null value can delete rows only of a table with a key; set `key:` or " +
			"leave `delete: tombstone` out")
	}
	if r.Tombstones && r.IgnoreTombstones {
		return nil, fmt.Errorf("records with a null value can delete rows or be ignored, not both")
	}
	if err := r.checkFolds(); err != nil {
		return nil, err
	}
	if err := r.checkKey(t); err != nil {
		return nil, err
	}
	p := &Plan{keys: len(r.Key), tombstones: r.Tombstones, ignored: r.IgnoreTombstones,
		byName: len(r.Columns) == 0, maxDepth: r.MaxDepth, envelope: r.Envelope}
	wanted, err := p.pick(r, t)
	if err != nil {
		return nil, err
	}
	if wanted, err = keysFirst(wanted, r, t); err != nil {
		return nil, err
	}
	if err := checkFilled(wanted, t); err != nil {
		return nil, err
	}
	c := compiler{plan: p, rule: r}
	for i, w := range wanted {
		if err := c.column(w, t, i < p.keys); err != nil {
			return nil, fmt.Errorf("column %s: %w", w.Name, err)
		}
	}
	c.number()
	return p, nil
}

// pick returns the columns to fill: the listed ones, or all of the table that can be matched by name; then provenance.
func (p *Plan) pick(r Rule, t Table) ([]Column, error) {
	provenance, err := r.metaColumns()
	if err != nil {
		return nil, err
	}
	// A column that a person listed must be there; one that Meta asks for too, with other words.
	for _, c := range provenance {
		if !t.has(c.Name) {
			m := meta[slices.IndexFunc(meta, func(m struct{ name, path, typ string }) bool { return m.path == c.Path })]
			return nil, fmt.Errorf("meta %s needs a column %s in table %s: ALTER TABLE … ADD COLUMN %s %s",
				m.name, c.Name, t.Name, c.Name, m.typ)
		}
	}
	columns := slices.Clone(r.Columns)
	if len(columns) == 0 {
		for _, c := range t.Columns {
			isMeta := slices.ContainsFunc(provenance, func(m Column) bool { return m.Name == c.Name })
			if c.Generated || isMeta {
				continue
			}
			if why := c.leftByName(r); why != "" {
				p.left = append(p.left, Left{c.Name, why})
				continue
			}
			columns = append(columns, Column{Name: c.Name})
		}
	}
	for i := range provenance {
		provenance[i].Type = "" // that of the table, if it can take it
	}
	columns = append(columns, provenance...)
	if len(columns) == 0 {
		return nil, fmt.Errorf("table %s has no column to fill", t.Name)
	}
	seen := map[string]bool{}
	for _, c := range columns {
		if err := checkName(c.Name); err != nil {
			return nil, err
		}
		if seen[c.Name] {
			return nil, fmt.Errorf("column %s is there twice", c.Name)
		}
		seen[c.Name] = true
		if !t.has(c.Name) {
			return nil, fmt.Errorf("table %s has no column %s%s; it has %s",
				t.Name, c.Name, didYouMean(c.Name, t.names()), strings.Join(t.names(), ", "))
		}
	}
	return columns, nil
}

// leftByName says why matching by name leaves a column to Postgres; "" if it does not.
func (c TableColumn) leftByName(r Rule) string {
	if slices.Contains(r.Key, c.Name) {
		return ""
	}
	if c.Identity {
		return "it is GENERATED ALWAYS AS IDENTITY; list it under columns: to load it from the records"
	}
	if _, err := pgbin.NewEncoding(c.Type, false); err != nil && c.computed() {
		return err.Error()
	}
	return ""
}

// checkKey refuses a key that records cannot have.
func (r Rule) checkKey(t Table) error {
	for _, c := range t.Columns {
		if c.Generated && slices.Contains(r.Key, c.Name) {
			return fmt.Errorf("key column %s of table %s is generated from other columns, and no record can have it; "+
				"choose another key", c.Name, t.Name)
		}
	}
	return nil
}

// keysFirst moves the key columns to the front.
func keysFirst(columns []Column, r Rule, t Table) ([]Column, error) {
	var keys []Column
	for _, k := range r.Key {
		i := slices.IndexFunc(columns, func(c Column) bool { return c.Name == k })
		if i < 0 {
			names := make([]string, len(columns))
			for i, c := range columns {
				names[i] = c.Name
			}
			return nil, fmt.Errorf("key column %s is not among the columns of table %s that are filled%s; list it under "+
				"columns:", k, t.Name, didYouMean(k, names))
		}
		if slices.ContainsFunc(keys, func(c Column) bool { return c.Name == k }) {
			return nil, fmt.Errorf("key column %s is there twice", k)
		}
		keys = append(keys, columns[i])
	}
	rest := slices.DeleteFunc(slices.Clone(columns), func(c Column) bool { return slices.Contains(r.Key, c.Name) })
	return append(keys, rest...), nil
}

// checkFilled refuses a table of which a NOT NULL column would get nothing in every row.
func checkFilled(columns []Column, t Table) error {
	for _, c := range t.Columns {
		filled := slices.ContainsFunc(columns, func(w Column) bool { return w.Name == c.Name })
		if c.NotNull && !filled && !c.HasDefault && !c.Generated {
			return fmt.Errorf("column %s of table %s is NOT NULL without a default, and nothing fills it; list it under "+
				"columns:, or ALTER TABLE … ALTER COLUMN %s SET DEFAULT …", c.Name, t.Name, c.Name)
		}
	}
	return nil
}

// compiler collects the paths of the columns before the documents are numbered.
type compiler struct {
	plan                 *Plan
	rule                 Rule
	value, key, deletion format.Paths
	paths                []path
}

func (c *compiler) column(w Column, t Table, isKey bool) error {
	tc := t.Columns[t.index(w.Name)]
	if tc.Generated {
		return fmt.Errorf("Postgres generates it from other columns and takes no value; take it out of columns:")
	}
	if tc.Identity && len(c.rule.Key) > 0 && !isKey {
		return fmt.Errorf("it is GENERATED ALWAYS AS IDENTITY, and Postgres does not let an upsert change it; take it "+
			"out of columns:, or ALTER TABLE … ALTER COLUMN %s SET GENERATED BY DEFAULT", w.Name)
	}
	if w.Type != "" {
		declared, err := pgbin.ParseType(w.Type)
		if err != nil {
			return err
		}
		if !declared.Same(tc.Type) {
			return fmt.Errorf("it is %s in table %s and %s in the configuration; change one of them, or leave the type "+
				"out", tc.Type, t.Name, declared)
		}
	}
	fold := c.rule.foldOf(w.Name)
	at, unit, err := pathOf(w, fold)
	if err != nil {
		return err
	}
	enc, err := pgbin.NewEncoding(tc.Type, isKey)
	if fold != NoFold {
		enc, err = foldEncoding(fold, unit, tc.Type)
	}
	if err != nil {
		return err
	}
	if err := at.origin.check(enc.ComesAs()); err != nil {
		return err
	}
	if c.rule.isSum(w.Name) {
		tc.NotNull = false // nothing to add is not nothing in the row
	}
	if fold != NoFold {
		tc.Default, tc.HasDefault = nil, false // that of a row, not of a record's value
	}
	col := column{TableColumn: tc, Encoding: enc, origin: at.origin, header: at.header, fold: fold,
		fields: at.fields, place: uint16(len(c.plan.columns)),
		listed: slices.ContainsFunc(c.rule.Columns, func(l Column) bool { return l.Name == w.Name })}
	if !isKey {
		col.omit = tc.computed()
		col.absent = absent(tc)
	}
	c.plan.computes = c.plan.computes || col.omit
	c.note(at, isKey, formOf(enc.ComesAs()))
	c.plan.columns = append(c.plan.columns, col)
	c.paths = append(c.paths, at)
	return nil
}

// pathOf reads a column's path, and in a rule that aggregates what may stand around it.
func pathOf(w Column, fold Fold) (at path, unit string, err error) {
	text := w.Path
	if fold == counted {
		return path{origin: fromNothing}, "", nil
	}
	if fold == Group {
		unit, text = SplitUnit(text)
	}
	if text == "" && unit == "" {
		return path{fields: []string{w.Name}}, "", nil
	}
	at, err = parsePath(text)
	return at, unit, err
}

// absent is what stands in the tuple for a field that is not there.
func absent(c TableColumn) []byte {
	switch {
	case c.Default != nil:
		return append(appendInt32(nil, int32(len(c.Default))), c.Default...)
	case c.NotNull, c.computed():
		return nil
	}
	return appendInt32(nil, -1)
}

// note enters a column's path into the trees of what to look for.
func (c *compiler) note(at path, isKey bool, f format.Form) {
	p := c.plan
	switch at.origin {
	case fromValue:
		c.value.Want(nil, f)
		p.value = &format.Document{}
	case fromField:
		c.value.Want(at.fields, f)
		p.value = &format.Document{}
		p.fields = true
		if isKey {
			c.deletion.Want(at.fields, f)
			c.deletion.Want(at.fields[len(at.fields)-1:], f)
			p.deletion = &format.Document{}
		}
	case fromKeyField:
		c.key.Want(at.fields, f)
		p.key = &format.Document{}
	}
}

// number makes the documents and gives the columns their nodes.
func (c *compiler) number() {
	p := c.plan
	if p.value != nil {
		p.value = c.value.Document()
	}
	if p.key != nil {
		p.key = c.key.Document()
	}
	if p.deletion != nil {
		p.deletion = c.deletion.Document()
	}
	p.sought = sought(p.columns)
	inValue := 0
	for i := range p.columns[:p.keys] {
		if p.columns[i].origin == fromField {
			inValue++
		}
	}
	for i := range p.columns {
		col, fields := &p.columns[i], c.paths[i].fields
		f := formOf(col.ComesAs())
		switch col.origin {
		case fromValue:
			col.node, _ = p.value.Find(nil, f)
		case fromField:
			col.node, col.way = p.value.Find(fields, f)
			if i < p.keys {
				col.deletion[0], _ = p.deletion.Find(fields, f)
				col.deletion[1], _ = p.deletion.Find(fields[len(fields)-1:], f)
				col.soleKey = inValue == 1
			}
		case fromKeyField:
			col.node, col.way = p.key.Find(fields, f)
		}
	}
}

// formOf is the form in which a type's encoding takes a value.
func formOf(t pgbin.Type) format.Form {
	switch {
	case t.Kind == pgbin.JSON || t.Kind == pgbin.JSONB:
		return format.AsJSON
	case t.Kind == pgbin.Array && formOf(*t.Elem) == format.AsJSON:
		return format.AsListOfJSON
	case t.Kind == pgbin.Array:
		return format.AsList
	}
	return format.AsScalar
}

// check refuses types that an origin other than a field cannot become.
func (o origin) check(t pgbin.Type) error {
	var can []pgbin.Kind
	switch o {
	case fromTopic:
		can = []pgbin.Kind{pgbin.Text, pgbin.Varchar, pgbin.Char, pgbin.Enum}
	case fromPartition, fromOffset:
		can = []pgbin.Kind{pgbin.Int2, pgbin.Int4, pgbin.Int8, pgbin.Numeric, pgbin.Text, pgbin.Varchar, pgbin.Char}
	case fromTimestamp:
		can = []pgbin.Kind{pgbin.TimestampTZ, pgbin.Timestamp}
	case fromHeaders:
		can = []pgbin.Kind{pgbin.JSONB, pgbin.JSON, pgbin.Text}
	}
	if can == nil || slices.Contains(can, t.Kind) {
		return nil
	}
	return fmt.Errorf("it is %s in the table, and %s goes only into %s", t, o, pgbin.OfKind(can[0], -1))
}

func (o origin) String() string {
	return [...]string{"a field of the value", "the whole value", "a field of the key", "$key", "a header", "$headers",
		"$topic", "$partition", "$offset", "$timestamp", "nothing"}[o]
}
