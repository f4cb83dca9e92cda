package txn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"sinker/internal/transform"
)

// byCountry is a sink of topic orders into table by_country, which it makes.
func byCountry(change ...func(*Sink)) Sink {
	s := orders(func(s *Sink) {
		s.Table, s.Create = "by_country", true
		s.Rule = transform.Rule{
			Key: []string{"minute", "country"},
			Columns: []transform.Column{{Name: "minute", Path: "minute(at)"}, {Name: "country", Path: "c.country", Type: "text"}, {Name: "orders", Path: "1"},
				{Name: "revenue", Path: "total", Type: "numeric(14,2)"}, {Name: "items", Type: "integer"}, {Name: "last", Path: "at", Type: "timestamptz"}, {Name: "least", Path: "total", Type: "numeric"}},
			Folds: []transform.Fold{transform.Group, transform.Group, transform.Add, transform.Add, transform.Add, transform.Max, transform.Min},
		}
	})
	for _, f := range change {
		f(&s)
	}
	return s
}

const groupRows = `SELECT string_agg(concat_ws(' ', to_char(minute AT TIME ZONE 'UTC', 'HH24:MI'), country, orders, revenue, items, to_char(last AT TIME ZONE 'UTC', 'MI:SS'), coalesce(least::text, '-')), ', ' ORDER BY minute, country) FROM by_country`

func order(at, country, rest string) string {
	return fmt.Sprintf(`{"at":"2026-11-23T%sZ","c":{"country":%s}%s}`, at, country, rest)
}

func TestAggregate(t *testing.T) {
	t.Run("TwoBatches", func(t *testing.T) {
		l := newLoader(t, "", Config{Sinks: []Sink{byCountry()}})
		res := l.mustCommit(order("12:00:01", `"DE"`, `,"total":1.10,"items":2`), order("12:00:59.9", `"DE"`, `,"total":2.20,"items":1`), order("12:01:00", `"DE"`, ``), order("12:00:10", `"FR"`, `,"total":null`))
		if res.Written != 4 || res.Tables[0].Rows != 4 {
			t.Errorf("%+v", res)
		}
		l.want(groupRows, "12:00 DE 2 3.30 3 00:59 1.10, 12:00 FR 1 0.00 0 00:10 -, 12:01 DE 1 0.00 0 01:00 -")
		l.mustCommit(order("12:00:02", `"DE"`, `,"total":"0.7","items":-5`), order("12:00:11", `"FR"`, `,"total":-4`))
		l.want(groupRows, "12:00 DE 3 4.00 -2 00:59 0.7, 12:00 FR 2 -4.00 0 00:11 -4, 12:01 DE 1 0.00 0 01:00 -")
		l.want(`SELECT consumed || ' ' || written FROM sinker.offsets`, "6 6")
		l.want(`SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN '!' ELSE '' END, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'by_country'::regclass AND attnum > 0`,
			"minute timestamp with time zone!, country text!, orders bigint!, revenue numeric(14,2)!, items integer!, last timestamp with time zone, least numeric")
		l.ledgerTiles()
	})

	t.Run("DeadLetters", func(t *testing.T) {
		l := newLoader(t, "", Config{Sinks: []Sink{byCountry()}})
		r := rangeOf(l.pos, order("12:00:01", `null`, ``), `{"c":{"country":"DE"}}`, order("12:00:01", `"DE"`, `,"total":1.005`), `x`, ``, order("12:00:01", `"DE"`, `,"total":"NaN"`), order("12:00:03", `"DE"`, ``))
		held(r)[4].Value = nil
		if _, err := l.commitRange(r); err != nil {
			t.Fatal(err)
		}
		if got, want := l.letters(), "0 country missing, 1 minute missing, 2 revenue inexact, 3 - not_json, 4 - tombstone, 5 revenue out_of_range"; got != want {
			t.Errorf("letters\n%s, want\n%s", got, want)
		}
		l.want(groupRows, "12:00 DE 1 0.00 0 00:03 -")
	})

	t.Run("BesideAnAppend", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE orders (at timestamptz, total numeric(10,2))`, Config{Sinks: []Sink{orders(), byCountry()}})
		res := l.mustCommit(order("12:00:01", `"DE"`, `,"total":1.10`), order("12:00:02", `null`, `,"total":2.20`))
		if res.Written != 1 || res.Dead != 1 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT (SELECT count(*) FROM orders) || ' ' || (SELECT sum(orders) FROM by_country)`, "2 1")
	})

	t.Run("NoIndex", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE by_country (minute timestamptz, country text, orders bigint, revenue numeric(14,2), items int, last timestamptz, least numeric)`, Config{Sinks: []Sink{byCountry()}})
		_, err := l.commit(order("12:00:01", `"DE"`, ``))
		if !isClass(err, Schema) || !strings.Contains(err.Error(), `no unique index on its group (minute, country) (CREATE UNIQUE INDEX ON "public"."by_country" ("minute", "country"))`) {
			t.Error(err)
		}
	})

	t.Run("NullsAndZeroBefore", func(t *testing.T) {
		l := newLoader(t, `CREATE TYPE land AS ENUM ('DE', 'FR'); CREATE TABLE by_country (minute timestamp, country land, orders smallint, revenue numeric(14,2), items int, last timestamptz, least numeric, UNIQUE (country, minute));
			INSERT INTO by_country VALUES ('2026-11-23 12:00', 'DE')`, Config{Sinks: []Sink{byCountry(func(s *Sink) { s.Rule.Columns[1].Type = "" })}})
		l.mustCommit(order("12:00:01", `"DE"`, `,"total":1`))
		l.want(groupRows, "12:00 DE 1 1.00 0 00:01 1")
	})
}

// TestAggregateOverflow: the record whose amount the column cannot take any more is a dead letter, and no other.
func TestAggregateOverflow(t *testing.T) {
	t.Run("InTheBatch", func(t *testing.T) {
		l := newLoader(t, "", Config{Sinks: []Sink{byCountry()}})
		l.mustCommit(order("12:00:01", `"DE"`, `,"items":2147483647`), order("12:00:02", `"FR"`, `,"items":5`), order("12:00:03", `"DE"`, `,"items":1`))
		l.want(groupRows, "12:00 DE 1 0.00 2147483647 00:01 -, 12:00 FR 1 0.00 5 00:02 -")
		if got, want := l.letters(), "2 - 22003"; got != want {
			t.Errorf("letters %s, want %s", got, want)
		}
	})
	t.Run("WithWhatIsThere", func(t *testing.T) {
		l := newLoader(t, "", Config{Sinks: []Sink{byCountry()}})
		l.mustCommit(order("12:00:01", `"DE"`, `,"total":999999999999.99`))
		l.mustCommit(order("12:00:02", `"DE"`, `,"total":0.01`), order("12:00:03", `"FR"`, `,"total":1`))
		l.want(`SELECT string_agg(country || orders, ' ' ORDER BY country) FROM by_country`, "DE1 FR1")
		if got, want := l.letters(), "1 - 22003"; got != want {
			t.Errorf("letters %s, want %s", got, want)
		}
	})
	t.Run("TooLargeOnTheWayOnly", func(t *testing.T) {
		l := newLoader(t, "", Config{Sinks: []Sink{byCountry()}})
		l.mustCommit(order("12:00:01", `"DE"`, `,"items":2147483647`), order("12:00:02", `"DE"`, `,"items":1`), order("12:00:03", `"DE"`, `,"items":-1`))
		l.want(`SELECT items || ' ' || orders FROM by_country`, "2147483647 3")
	})
	t.Run("Constraint", func(t *testing.T) {
		l := newLoader(t, `CREATE TABLE by_country (minute timestamptz, country text CHECK (country <> 'XX'), orders bigint, revenue numeric(14,2), items int, last timestamptz, least numeric, PRIMARY KEY (minute, country))`, Config{Sinks: []Sink{byCountry()}})
		var values []string
		for i := range 300 {
			country := `"DE"`
			if i%100 == 7 {
				country = `"XX"`
			}
			values = append(values, order("12:00:01", country, ``))
		}
		res := l.mustCommit(values...)
		if res.Dead != 3 || res.Written != 297 || res.Tables[0].Rows != 297 {
			t.Errorf("%+v", res)
		}
		l.want(`SELECT string_agg(country || orders, ' ') FROM by_country`, "DE297")
		if got, want := l.letters(), "7 - 23514, 107 - 23514, 207 - 23514"; got != want {
			t.Errorf("letters %s, want %s", got, want)
		}
		l.ledgerTiles()
	})
}

// TestAggregateAgainstSQL holds random sums against the same sums by Postgres: of every type that has them, of numbers of
// every length, in several batches.
func TestAggregateAgainstSQL(t *testing.T) {
	const columns = `g int, i2 smallint, i4 int, i8 bigint, n numeric, p numeric(20,3), f float8, x numeric, m float8, d timestamptz`
	rule := transform.Rule{Key: []string{"g"}}
	for _, c := range []struct {
		name string
		fold transform.Fold
		path string
	}{{"g", transform.Group, ""}, {"k", transform.Add, "1"}, {"i2", transform.Add, ""}, {"i4", transform.Add, ""}, {"i8", transform.Add, ""}, {"n", transform.Add, ""}, {"p", transform.Add, ""}, {"f", transform.Add, ""},
		{"x", transform.Max, ""}, {"xm", transform.Min, "x"}, {"m", transform.Min, ""}, {"mm", transform.Max, "m"}, {"d", transform.Max, ""}, {"dm", transform.Min, "d"}} {
		rule.Columns, rule.Folds = append(rule.Columns, transform.Column{Name: c.name, Path: c.path}), append(rule.Folds, c.fold)
	}
	l := newLoader(t, `CREATE TABLE plain (`+columns+`); CREATE TABLE sums (g int PRIMARY KEY, k numeric NOT NULL, i2 smallint, i4 int, i8 bigint, n numeric, p numeric(20,3), f float8, x numeric, xm numeric, m float8, mm float8, d timestamptz, dm timestamptz)`,
		Config{Sinks: []Sink{orders(func(s *Sink) { s.Table = "plain" }), orders(func(s *Sink) { s.Table, s.Rule = "sums", rule })}})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		var values []string
		for range 1000 {
			values = append(values, randomRow(rng))
		}
		res := l.mustCommit(values...)
		if res.Dead > 0 {
			t.Fatalf("%+v %s", res, l.one(`SELECT reason FROM sinker.dead_letters LIMIT 1`))
		}
	}
	const again = `SELECT g, count(*)::numeric AS k, sum(i2)::smallint, sum(i4)::int, sum(i8)::bigint, coalesce(sum(n), 0), coalesce(sum(p), 0)::numeric(20,3), sum(f), max(x), min(x), min(m), max(m), max(d), min(d) FROM plain GROUP BY g`
	// As text, so that the digits after the point that a numeric shows count too.
	l.want(`SELECT count(*) FROM ((SELECT t::text FROM (`+again+`) t) EXCEPT (SELECT t::text FROM sums t)) u`, "0")
	l.want(`SELECT count(*) FROM sums`, l.one(`SELECT count(DISTINCT g) FROM plain`))
}

func randomRow(rng *rand.Rand) string {
	digits := func(n int) string {
		s := fmt.Sprint(1 + rng.IntN(9))
		for range rng.IntN(n) {
			s += fmt.Sprint(rng.IntN(10))
		}
		return s
	}
	sign := func() string { return []string{"", "-"}[rng.IntN(2)] }
	number := func() string {
		switch rng.IntN(12) {
		case 0:
			return "null"
		case 1:
			return sign() + digits(60) + "." + digits(60)
		case 2:
			return sign() + "0.0000" + digits(20)
		case 3:
			return sign() + digits(5) + fmt.Sprintf("e%d", rng.IntN(60)-30)
		case 4:
			return "0"
		}
		return sign() + digits(12) + "." + digits(6)
	}
	f := fmt.Sprintf("%s%d.%d", sign(), rng.IntN(1<<20), rng.IntN(2)*5) // halves: their sums are exact
	m := []string{`"NaN"`, `"Infinity"`, `"-Infinity"`, "null", fmt.Sprint(rng.NormFloat64())}[max(0, rng.IntN(60)-55)]
	if rng.IntN(3) > 0 {
		m = fmt.Sprint(rng.NormFloat64())
	}
	x := number()
	if rng.IntN(200) == 0 {
		x = []string{`"NaN"`, `"Infinity"`, `"-Infinity"`}[rng.IntN(3)]
	}
	return fmt.Sprintf(`{"g":%d,"i2":%s%d,"i4":%s%d,"i8":%s%d,"n":%s,"p":%s%s.%d,"f":%s,"x":%s,"m":%s,"d":"20%02d-11-%02dT12:34:56.%06dZ"}`,
		rng.IntN(50), sign(), rng.IntN(50), sign(), rng.IntN(1e6), sign(), rng.Int64N(1e15), number(), sign(), digits(14), rng.IntN(1000), f, x, m, rng.IntN(99), 1+rng.IntN(28), rng.IntN(1e6))
}

// TestAggregateInDoubt: a COMMIT whose reply is lost counts once, whether it was done or not.
func TestAggregateInDoubt(t *testing.T) {
	l := newLoader(t, "", Config{Sinks: []Sink{byCountry()}})
	r := rangeOf(l.pos, order("12:00:01", `"DE"`, `,"total":1`), order("12:00:02", `"DE"`, `,"total":2`))
	for range 3 { // the first commits; the others ask again, as after a lost reply
		if _, err := commitBatch(context.Background(), l.store, Batch{r}, nil); err != nil {
			t.Fatal(err)
		}
	}
	l.want(groupRows, "12:00 DE 2 3.00 0 00:02 1")
	l.want(`SELECT consumed FROM sinker.offsets`, "2")
}

// TestAggregateTwoWorkers: two workers that merge into the same groups at the same time lose nothing; should they ever
// deadlock, the loser may try again.
func TestAggregateTwoWorkers(t *testing.T) {
	db := newDatabase(t)
	const batches, size, groups = 30, 400, 97
	var wg sync.WaitGroup
	for worker := range 2 {
		s := db.store(fmt.Sprint("w", worker), byCountry())
		pos := db.take(s, claim(TopicPartition{Topic: "orders", Partition: int32(worker)}, 0))[0]
		if err := s.Prepare(context.Background()); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 1))
			for range batches {
				var values []string
				for range size {
					values = append(values, order("12:00:01", fmt.Sprintf(`"c%d"`, rng.IntN(groups)), `,"total":0.01,"items":1`))
				}
				r := rangeOf(pos, values...)
				for {
					_, err := commitBatch(context.Background(), s, Batch{r}, nil)
					if err == nil {
						break
					}
					var e *Error
					if !errors.As(err, &e) || e.Class != Retry {
						t.Error(err)
						return
					}
				}
				pos.NextOffset = r.To
			}
		})
	}
	wg.Wait()
	db.want(`SELECT count(*) || ' ' || sum(orders) || ' ' || sum(revenue) || ' ' || sum(items) FROM by_country`, fmt.Sprintf("%d %d %.2f %d", groups, 2*batches*size, float64(2*batches*size)/100, 2*batches*size))
}
