package consume

import (
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRecordPool(t *testing.T) {
	t.Run("GivesWhatFits", func(t *testing.T) {
		f := recordPool{keep: 1000}
		f.PutRecords(make([]kgo.Record, 100))
		if s := f.GetRecords(101); cap(s) < 101 {
			t.Errorf("room for %d, want 101", cap(s))
		}
		if s := f.GetRecords(5); cap(s) >= 100 {
			t.Error("room for 100 was given for 5: a few records would hold much memory")
		}
		if s := f.GetRecords(90); cap(s) != 100 || len(s) != 0 {
			t.Errorf("room for %d, want the slice of 100, emptied", cap(s))
		}
		if f.room != 0 || len(f.free) != 0 {
			t.Errorf("%d slices with room for %d are left, want none", len(f.free), f.room)
		}
	})

	t.Run("KeepsWithinItsBound", func(t *testing.T) {
		f := recordPool{keep: 1000}
		rng := rand.New(rand.NewPCG(1, 1))
		for range 10_000 {
			if rng.IntN(3) > 0 {
				f.PutRecords(make([]kgo.Record, 1+rng.IntN(1500)))
			} else {
				f.GetRecords(rng.IntN(1500))
			}
			room := 0
			for _, s := range f.free {
				room += cap(s)
			}
			if room != f.room || room > f.keep {
				t.Fatalf("holds room for %d, counted as %d, bound %d", room, f.room, f.keep)
			}
		}
	})
}
