package main

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// load produces records, each with a number of its own, and remembers which of them Kafka has taken for good.
type load struct {
	st    *stage
	ids   atomic.Int64
	sent  atomic.Int64
	plain map[string]*kgo.Client // by topic; payments has one too, for what is produced outside transactions

	acked   map[string]*bitmap // by topic: Kafka said that it has them, and their transaction was committed
	aborted bitmap
	aborts  atomic.Int64
	commits atomic.Int64
	unknown atomic.Int64 // transactions whose end was not told
	failed  atomic.Int64 // records that Kafka refused
	letters atomic.Int64 // bad ones, produced on purpose

	stop func()
	wg   sync.WaitGroup
}

var codecs = map[string]kgo.CompressionCodec{"events": kgo.Lz4Compression(), "payments": kgo.ZstdCompression(),
	"accounts": kgo.SnappyCompression()}

// startLoad begins to produce.
func (st *stage) startLoad(ctx context.Context) error {
	l := &load{st: st, plain: map[string]*kgo.Client{}, acked: map[string]*bitmap{}}
	st.load = l
	ctx, cancel := context.WithCancel(ctx)
	l.stop = sync.OnceFunc(func() { cancel(); l.wg.Wait() })
	for _, t := range tables {
		l.acked[t.name] = &bitmap{}
		client, err := l.client(t.name)
		if err != nil {
			return err
		}
		l.plain[t.name] = client
		if t.transacted {
			l.wg.Go(func() { l.transact(ctx, t) })
		} else {
			l.wg.Go(func() { l.feed(ctx, t, client) })
		}
	}
	return nil
}

// client makes a producer that never gives up.
func (l *load) client(topic string, more ...kgo.Opt) (*kgo.Client, error) {
	codec, ok := codecs[topic]
	if !ok {
		codec = kgo.GzipCompression()
	}
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(l.st.kafka.Brokers()...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5 * time.Millisecond),
		kgo.MaxBufferedRecords(20_000), kgo.ProducerBatchCompression(codec), kgo.MetadataMinAge(200 * time.Millisecond),
		kgo.MetadataMaxAge(5 * time.Second), kgo.AlwaysRetryEOF(), kgo.UnknownTopicRetries(-1),
	}, more...)...)
}

// feed produces at the wanted rate; what an outage of Kafka holds up is made good afterwards.
func (l *load) feed(ctx context.Context, t *table, client *kgo.Client) {
	keys := 100_000
	if t.upsert {
		keys = 5000
	}
	l.paced(ctx, t, func(n int) {
		for range n {
			client.Produce(ctx, l.next(t, keys), l.taken(t))
		}
	})
	flush, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client.Flush(flush)
}

// paced calls produce with how many records are due.
func (l *load) paced(ctx context.Context, t *table, produce func(n int)) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	rate := float64(l.st.rate) * float64(t.share) / 100
	most := int(rate*0.02*3) + 1
	began, sent := time.Now(), 0
	for ctx.Err() == nil {
		<-tick.C
		if n := min(int(rate*time.Since(began).Seconds())-sent, most); n > 0 {
			produce(n)
			sent += n
		}
	}
}

// taken is what becomes of a record's answer.
func (l *load) taken(t *table) func(*kgo.Record, error) {
	return func(r *kgo.Record, err error) {
		if err != nil {
			l.failed.Add(1)
			return
		}
		l.sent.Add(1)
		l.acked[t.name].set(idOf(r))
	}
}

type idKey struct{}

func idOf(r *kgo.Record) int64 { return r.Context.Value(idKey{}).(int64) }

// next makes the next record. A few of the upserted table's delete their key.
func (l *load) next(t *table, keys int) *kgo.Record {
	id := l.ids.Add(1)
	key := "k" + strconv.Itoa(rand.IntN(keys))
	r := &kgo.Record{Topic: t.name, Key: []byte(key), Context: context.WithValue(context.Background(), idKey{}, id)}
	if !t.upsert || rand.IntN(30) > 0 {
		r.Value = value(id, key, int64(rand.IntN(1_000_000)))
	}
	return r
}

// groups is how many rows the table of sums gets. Every partition has records of each, so that all sinkers want the
// same rows.
const groups = 50

// value is a record's JSON. Its last number is a sum of the others, so that a value mixed of two is noticed; g is its
// group.
func value(id int64, key string, n int64) []byte {
	return fmt.Appendf(make([]byte, 0, 112), `{"id":%d,"k":"%s","n":%d,"amount":"%d.%02d","sum":%d,"g":"g%d"}`, id, key,
		n, id%100_000, n%100, id*31+n, id%groups)
}

// transact produces in transactions, and aborts one in ten.
func (l *load) transact(ctx context.Context, t *table) {
	var client *kgo.Client
	defer func() {
		if client != nil {
			client.Close()
		}
	}()
	l.paced(ctx, t, func(n int) {
		for client == nil && ctx.Err() == nil {
			var err error
			if client, err = l.client(t.name, kgo.TransactionalID("torture-payments"),
				kgo.TransactionTimeout(30*time.Second)); err != nil {
				client = nil
				wait(ctx, time.Second)
			}
		}
		if client != nil && !l.transaction(client, t, n) {
			client.Close() // its state is not known any more: a new one begins by ending what the old one left
			client = nil
		}
	})
}

// transaction produces n records in one; it says whether the client can go on.
func (l *load) transaction(client *kgo.Client, t *table, n int) bool {
	if err := client.BeginTransaction(); err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	var ids []int64
	bad := false
	for range n {
		client.Produce(ctx, l.next(t, 100_000), func(r *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			ids, bad = append(ids, idOf(r)), bad || err != nil
		})
	}
	if err := client.Flush(ctx); err != nil {
		client.AbortBufferedRecords(ctx)
		bad = true
	}
	mu.Lock()
	defer mu.Unlock()
	keep := kgo.TransactionEndTry(!bad && rand.IntN(10) > 0)
	if err := client.EndTransaction(ctx, keep); err != nil {
		l.unknown.Add(1)
		return false
	}
	l.ended(t, ids, bool(keep))
	return true
}

func (l *load) ended(t *table, ids []int64, kept bool) {
	if kept {
		l.commits.Add(1)
		l.sent.Add(int64(len(ids)))
	} else {
		l.aborts.Add(1)
	}
	for _, id := range ids {
		if kept {
			l.acked[t.name].set(id)
		} else {
			l.aborted.set(id)
		}
	}
}

// markers end the load: the last record of every partition, by which the independent reader knows that it is done.
func (l *load) markers(ctx context.Context) error {
	for _, t := range tables {
		client, err := l.client(t.name, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			return err
		}
		defer client.Close()
		ends, err := l.st.ends(ctx, t.name)
		if err != nil {
			return err
		}
		for p := range ends {
			r := l.next(t, 1)
			key := endKey + strconv.Itoa(int(p))
			r.Partition, r.Key, r.Value = p, []byte(key), value(idOf(r), key, 0)
			if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
				return fmt.Errorf("the last record of topic %s: %w", t.name, err)
			}
			l.acked[t.name].set(idOf(r))
		}
	}
	return nil
}

func (l *load) close() {
	l.stop()
	for _, c := range l.plain {
		c.Close()
	}
}

// The keys by which the checker knows records that are not ordinary.
const (
	endKey = "end-" // the last one of a partition
	badKey = "bad-" // it cannot become a row
)

// bitmap is a set of record numbers.
type bitmap struct {
	mu   sync.Mutex
	bits []uint64
}

func (b *bitmap) set(id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for int64(len(b.bits)) <= id/64 {
		b.bits = append(b.bits, make([]uint64, 1+len(b.bits)/2)...)
	}
	b.bits[id/64] |= 1 << (id % 64)
}

func (b *bitmap) has(id int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return id/64 < int64(len(b.bits)) && b.bits[id/64]&(1<<(id%64)) != 0
}

// missing calls for every number that is in b and not in other, up to a few, and counts them all.
func (b *bitmap) missing(other *bitmap) (n int64, few []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, word := range b.bits {
		if i < len(other.bits) {
			word &^= other.bits[i]
		}
		for ; word != 0; word &= word - 1 {
			n++
			if len(few) < 10 {
				few = append(few, int64(i*64+bits.TrailingZeros64(word)))
			}
		}
	}
	return n, few
}
