package consume

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkUnpack unpacks ordinary batches as franz-go does by itself, and as the reader does.
func BenchmarkUnpack(b *testing.B) {
	for _, p := range packings() {
		for _, n := range []int{1, 70, 4000} {
			content := payload(n, 235, false)
			packed := p.pack(b, content)
			for name, d := range map[string]kgo.Decompressor{"franz-go": kgo.DefaultDecompressor(), "sinker": newUnpacker(256<<20, newRoom(128<<20))} {
				b.Run(p.name+"/"+map[int]string{1: "one record", 70: "16 KiB", 4000: "1 MB"}[n]+"/"+name, func(b *testing.B) {
					b.SetBytes(int64(len(content)))
					for b.Loop() {
						if _, err := d.Decompress(packed, p.codec); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
