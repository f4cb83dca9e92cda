package txn

import (
	"context"
	"fmt"
	"testing"
)

// A place is a short cut and nothing else: whatever has happened to the rows since, a store that remembers places does what
// one does that looks the rows up by their keys.
func TestPlacesAreOnlyAShortCut(t *testing.T) {
	ctx := context.Background()
	orders1 := TopicPartition{Topic: "orders", Partition: 1}
	for name, happens := range map[string]func(db *database, s *Store){
		"Nothing":      func(db *database, s *Store) {},
		"AnotherOwner": func(db *database, s *Store) { db.take(db.store("b"), claim(orders1, 0)) },
		"AnotherOwnerCommitted": func(db *database, s *Store) {
			b := &busy{database: db, store: db.store("b")}
			b.positions = db.take(b.store, claim(orders0, 0))
			b.commit(3)
		},
		"TakenAgain": func(db *database, s *Store) { db.take(s, claim(orders0, 0)) },
		"AnOperator": func(db *database, s *Store) {
			if _, err := ChangeOffset(ctx, db.conn, "p", Change{TopicPartition: orders0, Action: "set", Offset: 50, SkipRecords: true}); err != nil {
				db.t.Fatal(err)
			}
		},
		"ByHand":   func(db *database, s *Store) { db.exec(`UPDATE sinker.offsets SET next_offset = next_offset + 1`) },
		"ToOurTo":  func(db *database, s *Store) { db.exec(`UPDATE sinker.offsets SET next_offset = next_offset + 2`) },
		"WentBack": func(db *database, s *Store) { db.exec(`UPDATE sinker.offsets SET start_offset = 0, next_offset = 1`) },
		"Marked": func(db *database, s *Store) {
			db.exec(`UPDATE sinker.offsets SET updated_at = now() WHERE partition = 0`)
		},
		"OneIsGone":  func(db *database, s *Store) { db.exec(`DELETE FROM sinker.offsets WHERE partition = 1`) },
		"AllAreGone": func(db *database, s *Store) { db.exec(`DELETE FROM sinker.offsets`); db.exec(`VACUUM sinker.offsets`) },
		"Vacuumed":   func(db *database, s *Store) { db.exec(`VACUUM sinker.offsets`) },
		"Rewritten":  func(db *database, s *Store) { db.exec(`VACUUM FULL sinker.offsets`) },
		"OtherOrder": func(db *database, s *Store) {
			db.exec(`CREATE INDEX down ON sinker.offsets (partition DESC); CLUSTER sinker.offsets USING down; DROP INDEX sinker.down`)
		},
		"Reconnected": func(db *database, s *Store) { s.drop() },
		"OtherDatabase": func(db *database, s *Store) {
			db.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sinker p' AND datname = current_database()`)
		},
		"MadeAnew": func(db *database, s *Store) {
			db.exec(`CREATE TEMP TABLE kept AS SELECT * FROM sinker.offsets; DELETE FROM sinker.offsets`)
			db.exec(`VACUUM sinker.offsets`)
			db.exec(`INSERT INTO sinker.offsets SELECT * FROM kept ORDER BY partition DESC`)
		},
		"PlacesSwapped": func(db *database, s *Store) {
			if len(s.places) > 0 {
				s.places[orders0], s.places[orders1] = s.places[orders1], s.places[orders0]
			}
		},
		"PlacesOfNoRow": func(db *database, s *Store) {
			if len(s.places) > 0 {
				s.places[orders0], s.places[orders1] = "(7,7)", "(4294967294,1)"
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			// run does all this with a store that remembers, or one that does not.
			run := func(remember bool) string {
				db := newDatabase(t)
				b := &busy{database: db, store: db.store("a")}
				b.positions = db.take(b.store, claim(orders0, 0), claim(orders1, 0))
				b.commit(10)
				if !remember {
					clear(b.store.places)
				}
				happens(db, b.store)
				out := ""
				for range 2 { // the second attempt of what failed, or the next batch
					var batch Batch
					for i := range b.positions {
						batch = append(batch, rangeOf(b.positions[i], `{}`, `{}`))
					}
					res, err := commitBatch(ctx, b.store, batch, nil)
					out += fmt.Sprintf("%v resolved %v, %d records\n", err, res.Resolved, res.Consumed)
					if err == nil {
						for i := range b.positions {
							b.positions[i].NextOffset += 2
						}
					}
				}
				return out + db.one(`SELECT coalesce(string_agg(format('%s %s %s %s %s %s', partition, next_offset, consumed, fence, owner, open_from), ', ' ORDER BY partition), 'no rows') FROM sinker.offsets`)
			}
			if got, want := run(true), run(false); got != want {
				t.Errorf("by places:\n%s\nby keys:\n%s", got, want)
			} else {
				t.Log(got)
			}
		})
	}
}

// While a snapshot is held a commit looks at no dead versions, however many there are, but for those that a new index entry
// is held against: fewer than there are pages. A look-up by key would look at each page once for each row and statement.
func TestHeldSnapshot(t *testing.T) {
	const rows, commits = 4, 100
	w := newBusy(newDatabase(t), rows)
	w.commit(1)
	w.hold()
	w.commit(1500)
	h0, _ := w.blocks()
	w.commit(commits)
	h1, _ := w.blocks()
	pages := w.pages("sinker.offsets")
	if pages < 150 {
		t.Fatalf("sinker.offsets has only %d pages: the snapshot is not held", pages)
	}
	if each := (h1 - h0) / commits; each > pages {
		t.Errorf("a commit looks at %d pages, the table has %d", each, pages)
	}
	w.ledgerTiles()
}

// What the planner may do is taken from it for our own statements only, and it gets back what it had.
func TestOthersPlanAsEver(t *testing.T) {
	for _, preset := range []string{"on", "off"} {
		db := newDatabase(t)
		db.exec(`ALTER DATABASE ` + db.one(`SELECT current_database()`) + ` SET enable_indexscan = ` + preset)
		db.exec(`CREATE TABLE orders (id bigint, seen text);
			CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				NEW.seen = current_setting('enable_seqscan') || ' ' || current_setting('enable_indexscan') || ' ' || current_setting('enable_bitmapscan'); RETURN NEW; END $$;
			CREATE TRIGGER look BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION look();
			CREATE TABLE looks (seen text);
			CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				INSERT INTO public.looks SELECT current_setting('enable_seqscan') || ' ' || current_setting('enable_indexscan') || ' ' ||
					current_setting('enable_bitmapscan') || ' ' || current_setting('plan_cache_mode'); RETURN NULL; END $$;
			CREATE CONSTRAINT TRIGGER later AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later()`)
		s := db.store("a", orders())
		p := db.take(s, claim(orders0, 0))[0]
		for range 10 {
			if _, err := commitBatch(t.Context(), s, Batch{rangeOf(p, `{"id":1}`)}, nil); err != nil {
				t.Fatal(err)
			}
			p.NextOffset++
		}
		db.want(`SELECT count(*) || ' ' || string_agg(DISTINCT seen, ', ') FROM orders`, "10 on "+preset+" on")
		db.want(`SELECT count(*) || ' ' || string_agg(DISTINCT seen, ', ') FROM looks`, "10 on "+preset+" on auto")
	}
}
