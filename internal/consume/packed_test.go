package consume

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// packing is a way in which producers compress batches.
type packing struct {
	name  string
	codec kgo.CompressionCodecType
	pack  func(testing.TB, []byte) []byte
	// claim, if the format has a size in its header, writes another one there.
	claim func(packed []byte, size uint64) []byte
}

func written(t testing.TB, b []byte, to func(*bytes.Buffer) interface {
	Write([]byte) (int, error)
	Close() error
}) []byte {
	var buf bytes.Buffer
	w := to(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

type writeCloser = interface {
	Write([]byte) (int, error)
	Close() error
}

func packings() []packing {
	var all []packing
	all = append(all, packing{"gzip", kgo.CodecGzip, func(t testing.TB, b []byte) []byte {
		return written(t, b, func(w *bytes.Buffer) writeCloser { return gzip.NewWriter(w) })
	}, func(p []byte, size uint64) []byte {
		binary.LittleEndian.PutUint32(p[len(p)-4:], uint32(min(size, 1<<32-1)))
		return p
	}})
	all = append(all, packing{"gzip of two members", kgo.CodecGzip, func(t testing.TB, b []byte) []byte {
		part := func(b []byte) []byte {
			return written(t, b, func(w *bytes.Buffer) writeCloser { return gzip.NewWriter(w) })
		}
		return append(part(b[:len(b)*3/4]), part(b[len(b)*3/4:])...)
	}, nil})
	all = append(all, packing{"snappy block", kgo.CodecSnappy, func(_ testing.TB, b []byte) []byte { return s2.EncodeSnappy(nil, b) }, claimSnappy})
	all = append(all, packing{"snappy of Java", kgo.CodecSnappy, packXerial, func(p []byte, size uint64) []byte {
		n := binary.BigEndian.Uint32(p[16:])
		block := claimSnappy(p[20:20+n], size)
		head := binary.BigEndian.AppendUint32(bytes.Clone(p[:16]), uint32(len(block)))
		return append(append(head, block...), p[20+n:]...)
	}})
	for _, o := range []struct {
		name string
		opts []lz4.Option
	}{
		{"lz4", []lz4.Option{lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)}},
		{"lz4 with checksums and large blocks", []lz4.Option{lz4.BlockSizeOption(lz4.Block4Mb), lz4.BlockChecksumOption(true), lz4.ChecksumOption(true)}},
	} {
		all = append(all, packing{o.name, kgo.CodecLz4, func(t testing.TB, b []byte) []byte {
			return written(t, b, func(buf *bytes.Buffer) writeCloser {
				w := lz4.NewWriter(buf)
				if err := w.Apply(o.opts...); err != nil {
					t.Fatal(err)
				}
				return w
			})
		}, nil})
	}
	all = append(all, packing{"zstd of one piece", kgo.CodecZstd, func(t testing.TB, b []byte) []byte {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true))
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		return e.EncodeAll(b, nil)
	}, claimZstd})
	all = append(all, packing{"zstd as a stream", kgo.CodecZstd, func(t testing.TB, b []byte) []byte {
		return written(t, b, func(buf *bytes.Buffer) writeCloser {
			e, err := zstd.NewWriter(buf, zstd.WithEncoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			return e
		})
	}, nil})
	return all
}

func packXerial(_ testing.TB, b []byte) []byte {
	out := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for len(b) > 0 {
		n := min(len(b), 32<<10)
		block := s2.EncodeSnappy(nil, b[:n])
		out, b = append(binary.BigEndian.AppendUint32(out, uint32(len(block))), block...), b[n:]
	}
	return out
}

func claimSnappy(p []byte, size uint64) []byte {
	_, n := binary.Uvarint(p)
	return append(binary.AppendUvarint(nil, size), p[n:]...)
}

// claimZstd rewrites the header of a single segment frame with a size of eight bytes.
func claimZstd(p []byte, size uint64) []byte {
	var h zstd.Header
	if err := h.Decode(p); err != nil || !h.SingleSegment {
		panic(fmt.Sprint("no single segment: ", err))
	}
	head := append(bytes.Clone(p[:4]), p[4]&^(3<<6)|3<<6)
	return append(binary.LittleEndian.AppendUint64(head, size), p[h.HeaderSize:]...)
}
