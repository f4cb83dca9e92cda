package consume

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// payload is an unpacked batch of n records with values of so many bytes each, of which the given part repeats.
func payload(n, size int, random bool) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	value := bytes.Repeat([]byte("sinker "), size/7+1)[:size]
	var b []byte
	for i := range n {
		if random {
			for j := range value {
				value[j] = byte(rng.Uint32())
			}
		}
		r := kmsg.Record{OffsetDelta: int32(i), Value: value}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // its own length takes a byte as 0
		b = r.AppendTo(b)
	}
	return b
}

// TestUnpack: batches of every codec come out as they were, whatever their size, and the size is known before.
func TestUnpack(t *testing.T) {
	type shape struct {
		records, size int
		random        bool
	}
	shapes := []shape{{1, 0, false}, {1, 1, false}, {10, 20, false}, {500, 235, false}, {500, 235, true}, {70_000, 10, false},
		{5000, 235, false}, {4, 300_000, true}, {1, 5 << 20, false}, {3, 1 << 20, true}}
	for _, p := range packings() {
		for _, s := range shapes {
			t.Run(fmt.Sprintf("%s/%d records of %d bytes, random %v", p.name, s.records, s.size, s.random), func(t *testing.T) {
				want := payload(s.records, s.size, s.random)
				if n := countRecords(want); n != s.records {
					t.Errorf("counted %d records, want %d", n, s.records)
				}
				packed := p.pack(t, want)
				room := newRoom(1 << 30)
				got, err := newUnpacker(64<<20, room).Decompress(packed, p.codec)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Error("not what was packed")
				}
				size, exact, err := unpackedSize(packed, p.codec)
				if err != nil || size < int64(len(want)) && p.name != "gzip of two members" || exact && size != int64(len(want)) && p.codec != kgo.CodecGzip {
					t.Errorf("the size before: %d, exact %v, %v; it is %d", size, exact, err, len(want))
				}
				if w := int64(len(want)) + int64(s.records)*recordMemory; room.used != w && cap(got) > 16 {
					t.Errorf("%d bytes of room are taken, want %d", room.used, w)
				}
				runtime.KeepAlive(got)
			})
		}
	}
}

// TestUnpackLies: a batch that is broken in whatever way is refused, and takes no more memory than it could be large.
func TestUnpackLies(t *testing.T) {
	const limit = 32 << 20
	content := payload(8, 1<<20, false)
	for _, p := range packings() {
		packed := p.pack(t, content)
		broken := map[string][]byte{"one byte": packed[:1], "half": packed[:len(packed)/2], "without its last byte": packed[:len(packed)-1],
			"garbage": bytes.Repeat([]byte{0xA5}, 1000), "zeros": make([]byte, 1000)}
		if p.name == "lz4" {
			delete(broken, "without its last byte")
			broken["without its end"] = packed[:len(packed)-4]
		}
		if p.claim != nil {
			for _, size := range []uint64{0, 1, uint64(len(content)) - 1, uint64(len(content)) + 1, limit - 1, 1<<32 - 1, 1 << 32, 1 << 40, 1<<64 - 1} {
				broken[fmt.Sprintf("claims %d bytes", size)] = p.claim(bytes.Clone(packed), size)
			}
		}
		for name, b := range broken {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				room := newRoom(limit)
				u := newUnpacker(limit, room)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				out, err := u.Decompress(b, p.codec)
				runtime.ReadMemStats(&after)
				if !errors.Is(err, kgo.ErrMaxDecompress) {
					t.Fatalf("got %d bytes and %v", len(out), err)
				}
				var bad *brokenBatch
				if why := u.refused[len(b)]; !errors.As(why, &bad) && !errors.As(why, new(*largeBatch)) {
					t.Errorf("the reason is %v", why)
				}
				if took := after.TotalAlloc - before.TotalAlloc; took > limit+(10<<20) {
					t.Errorf("took %d MiB", took>>20)
				}
				if room.used != 0 {
					t.Errorf("%d bytes of room are still taken", room.used)
				}
			})
		}
	}
}

// TestUnpackLimit: the limit is on the memory that a batch takes with its records.
func TestUnpackLimit(t *testing.T) {
	for _, p := range packings() {
		for _, s := range []struct{ records, size int }{{1, 3 << 20}, {10, 300_000}, {10_000, 235}, {50_000, 1}, {200, 100}} {
			t.Run(fmt.Sprintf("%s/%d records of %d bytes", p.name, s.records, s.size), func(t *testing.T) {
				content := payload(s.records, s.size, false)
				packed := p.pack(t, content)
				memory := int64(len(content)) + int64(s.records)*recordMemory
				if _, err := newUnpacker(memory, newRoom(1<<30)).Decompress(packed, p.codec); err != nil {
					t.Errorf("at the limit: %v", err)
				}
				for _, limit := range []int64{memory - 1, memory / 2, int64(len(content)), int64(len(content)) - 1, 1000} {
					room := newRoom(1 << 30)
					u := newUnpacker(limit, room)
					_, err := u.Decompress(packed, p.codec)
					var large *largeBatch
					if !errors.Is(err, kgo.ErrMaxDecompress) || !errors.As(u.refused[len(packed)], &large) {
						t.Fatalf("with a limit of %d of %d: %v, %v", limit, memory, err, u.refused[len(packed)])
					}
					if large.bytes < int64(len(content)) || large.records != 0 && large.memory() != memory {
						t.Errorf("with a limit of %d said to be %d bytes and %d records", limit, large.bytes, large.records)
					}
					if room.used != 0 {
						t.Errorf("%d bytes of room are still taken", room.used)
					}
				}
			})
		}
	}
}

// FuzzUnpack: no bytes make the unpacker panic, take more than the limit, or keep room.
func FuzzUnpack(f *testing.F) {
	for _, p := range packings() {
		f.Add(p.pack(f, payload(10, 100, false)), int8(p.codec))
	}
	f.Fuzz(func(t *testing.T, b []byte, codec int8) {
		room := newRoom(1 << 20)
		out, err := newUnpacker(1<<20, room).Decompress(b, kgo.CompressionCodecType(codec&3+1))
		if err != nil && room.used != 0 || err == nil && len(out) > 1<<20 {
			t.Fatalf("%d bytes, %d of room, %v", len(out), room.used, err)
		}
	})
}
