package consume

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"

	"sinker/internal/record"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// unpacker is a client's way from compressed batches to records. How large a batch becomes is known, and its memory
// taken, before it is unpacked; nothing larger than the limit is.
type unpacker struct {
	limit int64 // in bytes, with what the records cost
	room  *room

	scratch, gzip, lz4, zstd sync.Pool

	mu sync.Mutex
	// why a batch was refused, by its compressed size in bytes, until its partition is known
	refused map[int]error
	why     map[record.TopicPartition]error // why the last batch was, of those of which one was
}

var (
	_ kgo.Decompressor       = (*unpacker)(nil)
	_ kgo.HookFetchBatchRead = (*unpacker)(nil)
)

// scratchSize is how large a batch may become that is unpacked to memory of the unpacker's own, and copied from there,
// because its size is not known exactly.
const scratchSize = 4 << 20

func newUnpacker(limit int64, room *room) *unpacker {
	u := &unpacker{limit: limit, room: room, refused: map[int]error{}, why: map[record.TopicPartition]error{}}
	u.scratch.New = func() any { return new([scratchSize]byte) }
	u.gzip.New = func() any { return new(gzip.Reader) }
	u.lz4.New = func() any { return lz4.NewReader(nil) }
	u.zstd.New = func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // the options are wrong
		}
		return d
	}
	return u
}

// errOutgrown means that a batch is larger than the memory it was given.
var errOutgrown = errors.New("it is larger than its header says")

// Decompress is called by the client on its fetching goroutines. Its error is errNoRoom, or kgo.ErrMaxDecompress,
// which is how the client is made to leave the partition alone and to tell of the batch's offsets.
func (u *unpacker) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	out, err := u.unpack(src, codec)
	if err == nil || errors.Is(err, errNoRoom) {
		return out, err
	}
	var large *largeBatch
	if !errors.As(err, &large) {
		err = &brokenBatch{err}
	}
	u.mu.Lock()
	u.refused[len(src)] = err
	u.mu.Unlock()
	return nil, kgo.ErrMaxDecompress
}

// OnFetchBatchRead is called by the client after each batch, on the goroutine that has unpacked it.
func (u *unpacker) OnFetchBatchRead(_ kgo.BrokerMetadata, topic string, partition int32, m kgo.FetchBatchMetrics) {
	if m.NumRecords > 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err, ok := u.refused[m.CompressedBytes]; ok {
		delete(u.refused, m.CompressedBytes)
		u.why[record.TopicPartition{Topic: topic, Partition: partition}] = err
	}
}

// explain turns the client's error, which knows the batch's offsets, into one that says why the batch was refused.
func (u *unpacker) explain(e *kgo.ErrDecompressTooLarge) *BadBatch {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := &BadBatch{TopicPartition: record.TopicPartition{Topic: e.Topic, Partition: e.Partition}, From: e.Offset,
		To: e.NextOffset, limit: u.limit}
	b.err = u.why[b.TopicPartition]
	return b
}

func (u *unpacker) unpack(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	size, exact, err := unpackedSize(src, codec)
	switch {
	case err != nil:
		return nil, err
	case exact && size > u.limit && codec == kgo.CodecGzip: // so large it may not be, or larger
		_, err := u.measureGzip(src)
		return nil, cmp.Or(err, errOutgrown)
	case exact && size > u.limit:
		return nil, &largeBatch{bytes: size}
	case (!exact || codec == kgo.CodecZstd) && size <= scratchSize:
		return u.viaScratch(src, codec)
	}
	out, err := u.into(src, codec, size, exact)
	if codec == kgo.CodecGzip && errors.Is(err, errOutgrown) { // of several members only the last has said its size
		if size, err = u.measureGzip(src); err != nil {
			return nil, err
		}
		return u.into(src, codec, size, true)
	}
	return out, err
}

// viaScratch unpacks a small batch whose size is not known exactly, or whose decoder remembers where it wrote.
func (u *unpacker) viaScratch(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	scratch := u.scratch.Get().(*[scratchSize]byte)
	defer u.scratch.Put(scratch)
	out, err := u.decode(scratch[:0], src, codec)
	if err != nil {
		return nil, err
	}
	n := countRecords(out)
	b := largeBatch{len64(out), n}
	if b.memory() > u.limit {
		return nil, &b
	}
	if err := u.room.take(b.memory()); err != nil {
		return nil, err
	}
	return u.freeWith(slices.Clone(out), b.memory()), nil
}

// into unpacks a batch to memory of its size.
func (u *unpacker) into(src []byte, codec kgo.CompressionCodecType, size int64, exact bool) ([]byte, error) {
	given := min(size, u.limit)
	if err := u.room.take(given); err != nil {
		return nil, err
	}
	out, err := u.decode(make([]byte, 0, given), src, codec)
	b := largeBatch{len64(out), countRecords(out)}
	switch {
	case err != nil && given < size: // zstd has several words for too little room
		err = &largeBatch{bytes: size}
	case err == nil && b.memory() > u.limit:
		err = &b
	}
	if err != nil {
		u.room.free(given)
		return nil, err
	}
	if !exact && given-b.bytes > b.bytes/4 {
		out = slices.Clone(out)
	}
	u.room.add(b.memory() - given)
	return u.freeWith(out, b.memory()), nil
}

// freeWith gives the room back when the garbage collector has freed the bytes, however they came to be dropped: as
// committed records, as records of a partition that was let go, or with an answer that the client threw away.
func (u *unpacker) freeWith(out []byte, memory int64) []byte {
	const tiny = 16 // Go keeps several smaller objects in one, and frees them together or never
	if cap(out) <= tiny {
		u.room.free(memory)
		return out
	}
	runtime.AddCleanup(&out[:1][0], u.room.free, memory)
	return out
}

// decode unpacks src into the room that dst has, and not beyond.
func (u *unpacker) decode(dst, src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	switch codec {
	case kgo.CodecGzip:
		r := u.gzip.Get().(*gzip.Reader)
		defer u.gzip.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return nil, err
		}
		return readInto(dst, r)
	case kgo.CodecSnappy:
		if !isXerial(src) {
			return s2.Decode(dst[:cap(dst)], src)
		}
		err := eachXerial(src, func(block []byte) error {
			out, err := s2.Decode(dst[len(dst):cap(dst)], block)
			dst = dst[:len(dst)+len(out)]
			return err
		})
		return dst, err
	case kgo.CodecLz4:
		r := u.lz4.Get().(*lz4.Reader)
		defer u.lz4.Put(r)
		r.Reset(bytes.NewReader(src))
		return readInto(dst, r)
	default:
		d := u.zstd.Get().(*zstd.Decoder)
		out, err := d.DecodeAll(src, dst)
		if cap(dst) == scratchSize {
			u.zstd.Put(d) // it refers to dst until it is used again
		}
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			err = errOutgrown
		}
		return out, err
	}
}

// readInto reads all of r, if dst has room for it.
func readInto(dst []byte, r io.Reader) ([]byte, error) {
	n, err := io.ReadFull(r, dst[:cap(dst)])
	dst = dst[:n]
	if err == io.EOF || err == io.ErrUnexpectedEOF && n < cap(dst) {
		return dst, endOf(r)
	}
	if err != nil {
		return nil, err
	}
	return dst, endOf(r)
}

// endOf says whether r has ended well.
func endOf(r io.Reader) error {
	var more [1]byte
	switch n, err := r.Read(more[:]); {
	case n > 0:
		return errOutgrown
	case err == io.EOF:
		return nil
	case err == nil:
		return endOf(r)
	default:
		return err
	}
}

// mostMeasured is as far as a batch is measured.
const mostMeasured = 4 << 30

// measureGzip unpacks a batch and keeps nothing of it.
func (u *unpacker) measureGzip(src []byte) (int64, error) {
	r := u.gzip.Get().(*gzip.Reader)
	defer u.gzip.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, max(u.limit, mostMeasured)+1))
	if err == nil && n > u.limit {
		err = &largeBatch{bytes: n}
	}
	return n, err
}

func len64(b []byte) int64 { return int64(len(b)) }
