package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Load produces numbered records and keeps account of what Kafka has taken. Several producers of one load may run at
// the same time.
type Load struct {
	Addr, Topic string
	Partitions  int
	Keys        int // how many different keys; 0: each record has its own
	FirstKey    int // number of the first of them

	next      atomic.Int64 // number of the next record
	committed atomic.Int64
	aborted   atomic.Int64

	mu   sync.Mutex
	last map[int32]int64 // offset of the last committed record of each partition
}

// Committed counts the records that the topic must have, tombstones included.
func (l *Load) Committed() int64 { return l.committed.Load() }

// Aborted counts the records of aborted transactions.
func (l *Load) Aborted() int64 { return l.aborted.Load() }

// Last returns the offset of the last committed record of each partition.
func (l *Load) Last() map[int32]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := make(map[int32]int64, len(l.last))
	for p, o := range l.last {
		last[p] = o
	}
	return last
}

// client makes a producer; records name their partition, so that a load knows where they go.
func (l *Load) client(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(l.Addr), kgo.DefaultProduceTopic(l.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5 * time.Millisecond), kgo.MaxBufferedRecords(50_000), kgo.RequestRetries(1000),
		kgo.RecordDeliveryTimeout(3 * time.Minute), kgo.MetadataMinAge(50 * time.Millisecond),
		// Docker's proxy accepts a connection for a broker that is down, and closes it.
		kgo.AlwaysRetryEOF(),
	}, more...)...)
}

// record makes the next record. kept says in the value what the producer means to do with it.
func (l *Load) record(kept bool) *kgo.Record {
	id := l.next.Add(1) - 1
	key := id
	if l.Keys > 0 {
		key = int64(l.FirstKey + rand.N(l.Keys))
	}
	name := "k" + strconv.FormatInt(key, 10)
	value := fmt.Appendf(nil, `{"id":%d,"kept":%t,"key":%q,"amount":"%d.%02d","note":"a note of order %d"}`, id, kept,
		name, id%1000, id%100, id)
	return &kgo.Record{Key: []byte(name), Value: value, Partition: int32(key % int64(l.Partitions))}
}

func (l *Load) took(r *kgo.Record) {
	l.committed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[int32]int64{}
	}
	l.last[r.Partition] = max(l.last[r.Partition], r.Offset)
}

// Plain produces n records without transactions, and waits until Kafka has taken each of them, once.
func (l *Load) Plain(ctx context.Context, n int) error {
	left := n
	return l.While(ctx, func(context.Context) (int, error) {
		now := min(left, 1000)
		left -= now
		return now, nil
	})
}

// While is Plain for as many records as more says, each time it is asked, until it says 0.
func (l *Load) While(ctx context.Context, more func(ctx context.Context) (int, error)) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	for failed.Load() == nil {
		n, err := more(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		for range n {
			l.send(ctx, client, l.record(true), &failed)
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("producing: %w", *err)
	}
	return nil
}

func (l *Load) send(ctx context.Context, client *kgo.Client, r *kgo.Record, failed *atomic.Pointer[error]) {
	client.Produce(ctx, r, func(r *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
			return
		}
		l.took(r)
	})
}

// Tombstones produces a record without a value for each of the keys.
func (l *Load) Tombstones(ctx context.Context, keys ...int) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	for _, key := range keys {
		r := &kgo.Record{Key: fmt.Appendf(nil, "k%d", key), Partition: int32(key % l.Partitions)}
		l.send(ctx, client, r, &failed)
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("producing: %w", *err)
	}
	return nil
}

// Transactions produces n transactions of up to size records each. abort says which of them are aborted, after all of
// their records are in the log.
func (l *Load) Transactions(ctx context.Context, id string, n, size int, abort func(txn int) bool) error {
	client, err := l.client(kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute))
	if err != nil {
		return err
	}
	defer client.Close()
	for txn := range n {
		if err := l.transaction(ctx, client, 1+rand.N(size), !abort(txn)); err != nil {
			return fmt.Errorf("transaction %d: %w", txn, err)
		}
	}
	return nil
}

// Open begins a transaction of size records, leaves it open, and returns what commits it.
func (l *Load) Open(t *testing.T, id string, size int) (commit func()) {
	t.Helper()
	client, err := l.client(kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	records, err := l.begin(t.Context(), client, size, true)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := l.end(t.Context(), client, records, true); err != nil {
			t.Fatal(err)
		}
	}
}

func (l *Load) transaction(ctx context.Context, client *kgo.Client, size int, keep bool) error {
	records, err := l.begin(ctx, client, size, keep)
	if err != nil {
		return err
	}
	return l.end(ctx, client, records, keep)
}

// begin opens a transaction and waits until all of its records are in the log.
func (l *Load) begin(ctx context.Context, client *kgo.Client, size int, keep bool) ([]*kgo.Record, error) {
	if err := client.BeginTransaction(); err != nil {
		return nil, err
	}
	records := make([]*kgo.Record, size)
	for i := range records {
		records[i] = l.record(keep)
	}
	return records, client.ProduceSync(ctx, records...).FirstErr()
}

func (l *Load) end(ctx context.Context, client *kgo.Client, records []*kgo.Record, keep bool) error {
	if err := client.EndTransaction(ctx, kgo.TransactionEndTry(keep)); err != nil {
		return err
	}
	if !keep {
		l.aborted.Add(int64(len(records)))
		return nil
	}
	for _, r := range records {
		l.took(r)
	}
	return nil
}
