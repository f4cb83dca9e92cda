package main

import "testing"

// TestSuppressedIsSeen: what a trigger takes away is counted by the load, shown by status, and allowed for by verify, which
// still finds a row that is missing beyond that.
func TestSuppressedIsSeen(t *testing.T) {
	for name, sink := range map[string]string{"Append": "meta: [partition, offset]", "Upsert": "key: id, meta: [partition, offset]"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "sinks: [{ topic: orders, table: orders, "+sink+" }]\n")
			s.migrated()
			s.exec(`CREATE TABLE orders (id int PRIMARY KEY, kafka_partition int, kafka_offset bigint);
				CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id % 2 = 0 THEN RETURN NULL; END IF; RETURN NEW; END $$;
				CREATE TRIGGER odd BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION odd()`)
			s.produce(values(`{"id":1}`, `{"id":2}`, `{"id":3}`, `{"id":4}`, `{"id":5}`)...)
			s.load().want(t, exitOK, "5 records")
			s.sinker("status", "-c", s.file).want(t, exitOK, "2 rows suppressed by triggers")
			s.sinker("verify", "-c", s.file).want(t, exitOK, "suppressed 2 rows")
			if n := s.one(`SELECT sum(written) || ' ' || sum(filtered) || ' ' || sum(suppressed) FROM sinker.offsets`); n != "3 2 2" {
				t.Errorf("written, filtered, suppressed: %s, want 3 2 2", n)
			}
			s.exec(`DELETE FROM orders`) // three rows, and the trigger explains two
			want := exitDifference
			if name == "Upsert" {
				want = exitOK // rows of an upsert cannot be counted back
			}
			s.sinker("verify", "-c", s.file).want(t, want, "")
		})
	}
}
