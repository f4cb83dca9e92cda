package txn

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sinker/internal/orderdata"
	"sinker/internal/pgbin"
	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// BenchmarkUpsert holds ways to merge a batch against one another, interleaved, a batch at a time, each way with a table
// of its own:
//
//	go test ./internal/txn -run '^$' -bench Upsert -benchtime 1x -v
//
// The figures are medians of the milliseconds of a batch, and the ratio of the best to each.
func BenchmarkUpsert(b *testing.B) {
	for _, w := range []struct {
		name string
		keys func(rng *rand.Rand, batch int) []int64
	}{
		{"NewRising", func(_ *rand.Rand, n int) []int64 { return rising(benchOld + int64(n)*benchBatch) }},
		{"NewRandom", func(rng *rand.Rand, _ int) []int64 {
			return distinct(func() int64 { return benchOld + rng.Int64N(1<<50) })
		}},
		{"Existing", func(rng *rand.Rand, _ int) []int64 { return distinct(func() int64 { return rng.Int64N(benchOld) }) }},
		{"ExistingRising", func(_ *rand.Rand, n int) []int64 { return rising(int64(n%5) * benchBatch) }},
		{"Half", func(rng *rand.Rand, n int) []int64 { return mixed(rng, n, benchBatch/2) }},
		{"OneInAHundred", func(rng *rand.Rand, n int) []int64 { return mixed(rng, n, benchBatch/100) }},
	} {
		b.Run(w.name, func(b *testing.B) {
			for range b.N {
				benchUpsert(b, w.keys)
			}
		})
	}
}

const (
	benchOld     = 100_000 // rows that the tables have at the start
	benchBatch   = 20_000
	benchBatches = 7
)

func rising(from int64) (keys []int64) {
	for i := range int64(benchBatch) {
		keys = append(keys, from+i)
	}
	return keys
}

// mixed is so many old keys, in random places, and new ones behind all others.
func mixed(rng *rand.Rand, batch, old int) []int64 {
	next := benchOld + int64(batch)*benchBatch
	return distinct(func() int64 {
		if old--; old >= 0 {
			return rng.Int64N(benchOld)
		}
		next++
		return next
	})
}

func distinct(next func() int64) (keys []int64) {
	seen := map[int64]bool{}
	for len(seen) < benchBatch {
		seen[next()] = true
	}
	for k := range seen {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// upsertBench is what the strategies share.
type upsertBench struct {
	db      *database
	ctx     context.Context
	encoder *transform.Encoder
	plan    *transform.Plan
}

// rows are encoded rows in key order.
type rows struct {
	keys []int64
	all  []byte // tuples
	ends []int
}

func (r *rows) part(want func(i int) bool) *bytes.Buffer {
	var b bytes.Buffer
	b.Write(pgbin.CopyHeader())
	from := 0
	for i, end := range r.ends {
		if want == nil || want(i) {
			b.Write(r.all[from:end])
		}
		from = end
	}
	b.Write(pgbin.CopyTrailer())
	return &b
}

func (u *upsertBench) rows(keys []int64, version int) *rows {
	r := &rows{keys: keys}
	for _, k := range keys {
		value := orderdata.Order(nil, k)
		value = bytes.Replace(value, []byte(`"note":"`), fmt.Appendf(nil, `"note":"%d `, version), 1)
		var err error
		if r.all, _, err = u.encoder.Append(r.all, &record.Record{Value: value}); err != nil {
			u.db.t.Fatal(err)
		}
		r.ends = append(r.ends, len(r.all))
	}
	return r
}

// strategy merges rows into a table, within a transaction.
type strategy struct {
	name  string
	merge func(u *upsertBench, c *pgconn.PgConn, table string, r *rows) error
}

func (u *upsertBench) copyTo(c *pgconn.PgConn, table string, r io.Reader) error {
	_, err := c.CopyFrom(u.ctx, r, "COPY "+table+" FROM STDIN (FORMAT binary)")
	return err
}

func (u *upsertBench) sql(c *pgconn.PgConn, sql string) error {
	_, err := c.Exec(u.ctx, sql).ReadAll()
	return err
}

const benchSets = `customer_id = %[1]s.customer_id, country = %[1]s.country, status = %[1]s.status, total = %[1]s.total, items = %[1]s.items, express = %[1]s.express, note = %[1]s.note, created_at = %[1]s.created_at, ref = %[1]s.ref`

func sets(from string) string { return fmt.Sprintf(benchSets, from) }

// viaStage copies all rows into the temporary table and runs a statement on it.
func viaStage(pre, format string) func(*upsertBench, *pgconn.PgConn, string, *rows) error {
	return func(u *upsertBench, c *pgconn.PgConn, table string, r *rows) error {
		if err := u.sql(c, "CREATE TEMP TABLE IF NOT EXISTS stage_"+table+" ON COMMIT DELETE ROWS AS SELECT * FROM "+table+" WITH NO DATA;"+pre); err != nil {
			return err
		}
		if err := u.copyTo(c, "stage_"+table, r.part(nil)); err != nil {
			return err
		}
		return u.sql(c, strings.NewReplacer("TARGET", table, "STAGE", "stage_"+table).Replace(format))
	}
}

const nestedLoop = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"

var (
	onConflict   = viaStage("", "INSERT INTO TARGET SELECT * FROM STAGE ON CONFLICT (id) DO UPDATE SET "+sets("excluded"))
	updateInsert = viaStage("", nestedLoop+"UPDATE TARGET t SET "+sets("s")+" FROM STAGE s WHERE t.id = s.id; INSERT INTO TARGET SELECT * FROM STAGE s WHERE NOT EXISTS (SELECT FROM TARGET t WHERE t.id = s.id) ON CONFLICT (id) DO UPDATE SET "+sets("excluded"))
	updateAny    = viaStage("", "UPDATE TARGET t SET "+sets("s")+" FROM STAGE s WHERE t.id = s.id; INSERT INTO TARGET SELECT * FROM STAGE s WHERE NOT EXISTS (SELECT FROM TARGET t WHERE t.id = s.id) ON CONFLICT (id) DO UPDATE SET "+sets("excluded"))
	mergeInto    = viaStage("", "MERGE INTO TARGET t USING STAGE s ON t.id = s.id WHEN MATCHED THEN UPDATE SET "+sets("s")+" WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.customer_id, s.country, s.status, s.total, s.items, s.express, s.note, s.created_at, s.ref)")
)

// viaArrays sends the rows as an array a column.
func viaArrays(u *upsertBench, c *pgconn.PgConn, table string, r *rows) error {
	columns := u.plan.Columns()
	arrays, list, formats := make([][]byte, len(columns)), make([]string, len(columns)), make([]int16, len(columns))
	for i, col := range columns {
		for _, n := range []uint32{1, 1, col.Type.OID, uint32(len(r.keys)), 1} {
			arrays[i] = binary.BigEndian.AppendUint32(arrays[i], n)
		}
		list[i], formats[i] = fmt.Sprintf("$%d", i+1), 1
	}
	types, err := arrayTypes(u.ctx, u.db.conn, columns)
	if err != nil {
		return err
	}
	rest := r.all
	for range r.keys {
		rest = rest[2:]
		for i := range columns {
			size := 4 + max(0, int(int32(binary.BigEndian.Uint32(rest))))
			arrays[i] = append(arrays[i], rest[:size]...)
			rest = rest[size:]
		}
	}
	_, err = c.ExecParams(u.ctx, "INSERT INTO "+table+" SELECT * FROM unnest("+strings.Join(list, ", ")+") ON CONFLICT (id) DO UPDATE SET "+sets("excluded"), arrays, types, formats, nil).Close()
	return err
}

// existing asks which of some keys are there.
func (u *upsertBench) existing(c *pgconn.PgConn, table string, keys []int64) (map[int64]bool, error) {
	b := []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20}
	b = binary.BigEndian.AppendUint32(b, uint32(len(keys)))
	b = append(b, 0, 0, 0, 1)
	for _, k := range keys {
		b = binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(k))
	}
	res := c.ExecParams(u.ctx, "SELECT t.id FROM unnest($1::bigint[]) k JOIN "+table+" t ON t.id = k", [][]byte{b}, nil, []int16{1}, []int16{1}).Read()
	found := map[int64]bool{}
	for _, row := range res.Rows {
		found[int64(binary.BigEndian.Uint64(row[0]))] = true
	}
	return found, res.Err
}

// split copies the new rows straight in and updates the others.
func split(u *upsertBench, c *pgconn.PgConn, table string, r *rows) error {
	if err := u.sql(c, nestedLoop); err != nil {
		return err
	}
	found, err := u.existing(c, table, r.keys)
	if err != nil {
		return err
	}
	if len(found) < len(r.keys) {
		if err := u.copyTo(c, table, r.part(func(i int) bool { return !found[r.keys[i]] })); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return nil
	}
	if err := u.sql(c, "CREATE TEMP TABLE IF NOT EXISTS stage_"+table+" ON COMMIT DELETE ROWS AS SELECT * FROM "+table+" WITH NO DATA"); err != nil {
		return err
	}
	if err := u.copyTo(c, "stage_"+table, r.part(func(i int) bool { return found[r.keys[i]] })); err != nil {
		return err
	}
	return u.sql(c, "UPDATE "+table+" t SET "+sets("s")+" FROM stage_"+table+" s WHERE t.id = s.id")
}

// hopeful looks at a few keys; when none is there it copies everything straight in, under a savepoint.
func hopeful(u *upsertBench, c *pgconn.PgConn, table string, r *rows) error {
	var few []int64
	for i := 0; i < len(r.keys); i += len(r.keys)/100 + 1 {
		few = append(few, r.keys[i])
	}
	found, err := u.existing(c, table, few)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		if err := u.sql(c, "SAVEPOINT hopeful"); err != nil {
			return err
		}
		if err := u.copyTo(c, table, r.part(nil)); err == nil {
			return u.sql(c, "RELEASE SAVEPOINT hopeful")
		}
		if err := u.sql(c, "ROLLBACK TO SAVEPOINT hopeful"); err != nil {
			return err
		}
	}
	return onConflict(u, c, table, r)
}

func plainCopy(u *upsertBench, c *pgconn.PgConn, table string, r *rows) error {
	found, err := u.existing(c, table, r.keys[:1])
	if err != nil || len(found) > 0 {
		return err // no such way
	}
	return u.copyTo(c, table, r.part(nil))
}

var strategies = []strategy{
	{"COPY into the table (no upsert)", plainCopy},
	{"stage, ON CONFLICT", onConflict},
	{"arrays, ON CONFLICT", viaArrays},
	{"stage, MERGE", mergeInto},
	{"stage, UPDATE, INSERT", updateAny},
	{"the same, nested loops", updateInsert},
	{"look up, COPY new, UPDATE old", split},
	{"look at a few, COPY or ON CONFLICT", hopeful},
}

func benchUpsert(b *testing.B, keys func(*rand.Rand, int) []int64) {
	u := &upsertBench{db: newDatabase(b), ctx: context.Background()}
	var columns []transform.Column
	for line := range strings.Lines(orderdata.Columns) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		path, typ, _ := strings.Cut(strings.TrimSpace(rest), " ")
		columns = append(columns, transform.Column{Name: name, Path: path, Type: typ})
	}
	rule := transform.Rule{Columns: columns, Key: []string{"id"}}
	declared, err := rule.Declared("public", "t")
	if err != nil {
		b.Fatal(err)
	}
	if u.plan, err = transform.Compile(rule, declared); err != nil {
		b.Fatal(err)
	}
	u.encoder = u.plan.NewEncoder(nil)
	var old []int64
	for i := range int64(benchOld) {
		old = append(old, i)
	}
	prefill := u.rows(old, 0)
	for i := range strategies {
		declared.Name = fmt.Sprint("t", i)
		u.db.exec(createSQL(declared, rule.Key, 0))
		if err := u.copyTo(u.db.conn.PgConn(), declared.Name, prefill.part(nil)); err != nil {
			b.Fatal(err)
		}
		u.db.exec("VACUUM ANALYZE " + declared.Name)
	}
	u.compare(b, keys)
}

func (u *upsertBench) compare(b *testing.B, keys func(*rand.Rand, int) []int64) {
	took := make([][]float64, len(strategies))
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range benchBatches {
		r := u.rows(keys(rng, n), n+1)
		for i, s := range strategies {
			start := time.Now()
			err := pgx.BeginFunc(u.ctx, u.db.conn, func(tx pgx.Tx) error {
				return s.merge(u, tx.Conn().PgConn(), fmt.Sprint("t", i), r)
			})
			if err != nil {
				b.Fatal(s.name, err)
			}
			if n > 0 {
				took[i] = append(took[i], time.Since(start).Seconds()*1000)
			}
		}
	}
	want := u.db.one(`SELECT count(*) || ' ' || sum(hashtext(t::text)) FROM t1 t`)
	for i, s := range strategies {
		slices.Sort(took[i])
		b.Logf("%-36s %6.0f ms (%.0f–%.0f)", s.name, took[i][len(took[i])/2], took[i][0], took[i][len(took[i])-1])
		if i > 0 && u.db.one(fmt.Sprintf(`SELECT count(*) || ' ' || sum(hashtext(t::text)) FROM t%d t`, i)) != want {
			b.Errorf("%s: other rows than %s", s.name, strategies[1].name)
		}
	}
}
