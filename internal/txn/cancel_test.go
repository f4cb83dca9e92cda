package txn

import "testing"

// TestCancelsMakeNoLetters: somebody who cancels sinker's statements again and again, as pg_cancel_backend does, delays a record
// and never makes it a dead letter. Postgres has one SQLSTATE for that and for statement_timeout.
func TestCancelsMakeNoLetters(t *testing.T) {
	for name, sink := range map[string]Sink{"Append": orders(), "Upsert": orders(keyed)} {
		for _, records := range []int{1, 3} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := newLoader(t, `CREATE TABLE orders (id int PRIMARY KEY); CREATE SEQUENCE cancels;
					CREATE FUNCTION cancelled() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
						IF nextval('public.cancels') <= 12 THEN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(5); END IF; RETURN NEW; END $$;
					CREATE TRIGGER c BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION cancelled()`, Config{Sinks: []Sink{sink}})
				r := rangeOf(l.pos, []string{`{"id":1}`, `{"id":2}`, `{"id":3}`}[:records]...)
				for tries := 1; ; tries++ {
					_, err := commitBatch(t.Context(), l.store, Batch{r}, nil)
					if err == nil {
						break
					}
					if tries > 20 {
						t.Fatal(err)
					}
				}
				l.want(`SELECT count(*) FROM sinker.dead_letters`, "0")
				if got := l.one(`SELECT count(*) FROM orders`); got != l.one(`SELECT next_offset FROM sinker.offsets`) {
					t.Errorf("%s rows", got)
				}
			})
		}
	}
}
