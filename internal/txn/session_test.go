package txn

import (
	"testing"

	"sinker/internal/local/localtest"
	"sinker/internal/record"
	"sinker/migrations"
)

// A database need not be of encoding UTF8. What it cannot hold is a bad record like others, found by Postgres, and its
// dead letter is written although the reason and the headers quote what cannot be held.
func TestOtherEncodings(t *testing.T) {
	for _, c := range []struct {
		encoding        string
		rows, letters   string
		reason, headers string // of the letter of offset 3
	}{
		{"LATIN1", "1 Zürich | 3 last", "1 - 22P05, 3 id invalid", `"\u6771" is not valid`, `[{"key": "\\u6771", "value_base64": "5p2x"}, {"key": "k", "value": "v"}]`},
		{"SQL_ASCII", "1 Zürich | 2 東京 | 3 last", "3 id invalid", `"東" is not valid`, `[{"key": "東", "value": "東"}, {"key": "k", "value": "v"}]`},
	} {
		for mode, change := range map[string]func(*Sink){"append": func(*Sink) {}, "upsert": keyed} {
			t.Run(c.encoding+"/"+mode, func(t *testing.T) {
				db := openMigrated(t, localtest.DatabaseOf(t, " TEMPLATE template0 ENCODING '"+c.encoding+"' LOCALE 'C'"))
				db.exec(`SET client_encoding = UTF8; CREATE TABLE orders (id bigint PRIMARY KEY, note text)`)
				s := db.store("a", orders(change))
				r := rangeOf(db.take(s, claim(orders0, 0))[0], `{"id":1,"note":"Zürich"}`, `{"id":2,"note":"東京"}`, `{"id":3,"note":"last"}`, `{"id":"東"}`)
				held(r)[3].Source = record.HeaderList{{Key: "東", Value: []byte("東")}, {Key: "k", Value: []byte("v")}}
				if _, err := commitBatch(t.Context(), s, Batch{r}, nil); err != nil {
					t.Fatal(err)
				}
				db.want(`SELECT string_agg(id || ' ' || note, ' | ' ORDER BY id) FROM orders`, c.rows)
				l := loader{database: db}
				if got := l.letters(); got != c.letters {
					t.Errorf("dead letters %s, want %s", got, c.letters)
				}
				db.want(`SELECT left(reason, position(' for' in reason) - 1) FROM sinker.dead_letters WHERE record_offset = 3`, c.reason)
				db.want(`SELECT headers::text FROM sinker.dead_letters WHERE record_offset = 3`, c.headers)
			})
		}
	}
}

// Migrations run in databases of any encoding.
func TestMigrationsAreASCII(t *testing.T) {
	entries, err := migrations.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		sql, err := migrations.FS.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range sql {
			if b >= 0x80 {
				t.Errorf("%s: byte %d is not ASCII", e.Name(), i)
				break
			}
		}
	}
}

// What a database or a role presets must not matter.
func TestPresetSettings(t *testing.T) {
	db := empty(t)
	name := db.one(`SELECT current_database()`)
	for _, preset := range []string{
		"client_encoding = LATIN1", "standard_conforming_strings = off", "search_path = nowhere", "datestyle = 'SQL, DMY'", "timezone = 'Asia/Kathmandu'",
		"intervalstyle = sql_standard", "bytea_output = escape", "extra_float_digits = -10", "array_nulls = off", "transform_null_equals = on",
		"default_transaction_isolation = serializable", "lock_timeout = 10", "idle_in_transaction_session_timeout = 10",
	} {
		db.exec("ALTER DATABASE " + name + " SET " + preset)
	}
	if _, _, err := Migrate(t.Context(), db.url, quiet); err != nil {
		t.Fatal(err)
	}
	db.exec(`CREATE TABLE orders (id bigint PRIMARY KEY, note text, at timestamptz, took interval, file bytea, share float8, list int4[])`)
	s := db.store("a", orders(keyed))
	pos := db.take(s, claim(orders0, 0))[0]
	values := `{"id":1,"note":"Zürich \\ 'it''s'","at":"2026-02-03T04:05:06Z","took":"1 day 02:03:04","file":"aGVsbG8=","share":0.1,"list":[1,null]}`
	for range 2 { // insert and update
		r := rangeOf(pos, values)
		if _, err := commitBatch(t.Context(), s, Batch{r}, nil); err != nil {
			t.Fatal(err)
		}
		pos.NextOffset = r.To
	}
	db.want(`SELECT count(*) FROM sinker.dead_letters`, "0")
	db.want(`SELECT count(*) FROM orders WHERE note = E'Zürich \\ \'it\'\'s\'' AND at = '2026-02-03 04:05:06+00' AND took = '1 day 2 hours 3 minutes 4 seconds'
		AND file = 'hello' AND share = 0.1 AND list = ARRAY[1, NULL]`, "1")
}

// A URL that was copied from another driver's configuration is refused with the reason.
func TestForeignParameter(t *testing.T) {
	db := empty(t)
	_, err := Connect(t.Context(), db.url+"&keepalives=1", "test")
	wantClass(t, err, Schema, "take it out of postgres.url")
}
