package consume

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// unpackedSize is how many bytes a compressed batch becomes, found without unpacking it. What a header claims is
// believed only as far as the rest allows: exact is true for a claim that is possible, and false for an upper bound.
// An error means that the batch is broken.
func unpackedSize(src []byte, codec kgo.CompressionCodecType) (size int64, exact bool, err error) {
	switch codec {
	case kgo.CodecGzip:
		return gzipSize(src)
	case kgo.CodecSnappy:
		return snappySize(src)
	case kgo.CodecLz4:
		return lz4Size(src)
	case kgo.CodecZstd:
		return zstdSize(src)
	}
	return 0, false, fmt.Errorf("unknown compression %d", codec)
}

var errTruncated = errors.New("it ends too early")

// gzipSize reads the size at the end, which is modulo 4 GiB and only the last member's. Deflate makes no more than 1032
// bytes of one.
func gzipSize(src []byte) (size int64, exact bool, err error) {
	const header, trailer, most = 10, 8, 1032
	if len(src) < header+trailer {
		return 0, false, errTruncated
	}
	claim := int64(binary.LittleEndian.Uint32(src[len(src)-4:]))
	if claim > most*int64(len(src)) {
		return 0, false, fmt.Errorf("it claims a size of %d, more than a compressed size of %d can hold", claim, len(src))
	}
	return claim, true, nil
}

var xerialMagic = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// snappySize reads the size of the block, or of all blocks of what Java's library writes.
func snappySize(src []byte) (size int64, exact bool, err error) {
	if !isXerial(src) {
		size, err = snappyBlock(src)
		return size, true, err
	}
	err = eachXerial(src, func(block []byte) error {
		n, err := snappyBlock(block)
		size += n
		return err
	})
	return size, true, err
}

// snappyBlock is the size that a block claims. Its densest element makes 64 bytes of three.
func snappyBlock(block []byte) (int64, error) {
	n, err := s2.DecodedLen(block)
	if err == nil && n > 22*len(block)+64 {
		err = fmt.Errorf("it claims a size of %d, more than a compressed size of %d can hold", n, len(block))
	}
	return int64(n), err
}

func isXerial(src []byte) bool { return len(src) > 16 && bytes.HasPrefix(src, xerialMagic) }

// eachXerial calls f with each block.
func eachXerial(src []byte, f func(block []byte) error) error {
	for src = src[16:]; len(src) > 0; {
		if len(src) < 4 {
			return errTruncated
		}
		n := int64(binary.BigEndian.Uint32(src))
		if src = src[4:]; n > int64(len(src)) {
			return errTruncated
		}
		if err := f(src[:n]); err != nil {
			return err
		}
		src = src[n:]
	}
	return nil
}

// lz4Size adds up the blocks of all frames: those that are compressed may be as large as the frame's blocks are at
// most.
func lz4Size(src []byte) (size int64, exact bool, err error) {
	const magic = 0x184D2204
	for len(src) > 0 {
		if len(src) < 7 {
			return size, false, errTruncated
		}
		if m := binary.LittleEndian.Uint32(src); m != magic {
			return size, false, fmt.Errorf("it is no lz4 frame: it begins with %#x", m)
		}
		flags, blocks := src[4], src[5]>>4&7
		header := 7
		if flags&8 != 0 {
			header += 8 // content size
		}
		if flags&1 != 0 {
			header += 4 // dictionary
		}
		if blocks < 4 || len(src) < header {
			return size, false, errors.New("its header is not one of lz4's")
		}
		var n int64
		if n, src, err = lz4Blocks(src[header:], int64(1)<<(8+2*blocks), flags); err != nil {
			return size, false, err
		}
		size += n
	}
	return size, false, nil
}

// lz4Blocks adds up the blocks of a frame, and returns what follows it.
func lz4Blocks(src []byte, most int64, flags byte) (size int64, rest []byte, err error) {
	for {
		if len(src) < 4 {
			return size, nil, errTruncated
		}
		head := binary.LittleEndian.Uint32(src)
		src = src[4:]
		if head == 0 {
			break
		}
		n := int64(head &^ (1 << 31))
		if head>>31 != 0 {
			size += n
		} else {
			size += min(most, 255*n) // a byte of a block stands for 255 at most
		}
		if flags&16 != 0 {
			n += 4 // the block's checksum
		}
		if n > int64(len(src)) {
			return size, nil, errTruncated
		}
		src = src[n:]
	}
	if flags&4 == 0 {
		return size, src, nil
	}
	if len(src) < 4 {
		return size, nil, errTruncated
	}
	return size, src[4:], nil
}

// zstdSize adds up the frames. A frame's size may stand in its header; if not, its blocks say how large it is at most.
func zstdSize(src []byte) (size int64, exact bool, err error) {
	exact = true
	for len(src) > 0 {
		var h zstd.Header
		if err := h.Decode(src); err != nil {
			return size, false, err
		}
		skip := int64(h.HeaderSize)
		if h.Skippable {
			if skip += int64(h.SkippableSize); skip > int64(len(src)) {
				return size, false, errTruncated
			}
			src = src[skip:]
			continue
		}
		var n int64
		if n, src, err = zstdBlocks(src[skip:], h.HasCheckSum); err != nil {
			return size, false, err
		}
		if h.HasFCS && h.FrameContentSize > uint64(n) {
			return size, false, fmt.Errorf("it claims a size of %d, and its blocks hold %d at most", h.FrameContentSize, n)
		}
		if h.HasFCS {
			size += int64(h.FrameContentSize)
		} else {
			size, exact = size+n, false
		}
	}
	return size, exact, nil
}

// zstdBlocks is how large the blocks of a frame are at most, and what follows the frame.
func zstdBlocks(src []byte, sum bool) (size int64, rest []byte, err error) {
	const raw, rle, largest = 0, 1, 128 << 10
	for last := false; !last; {
		if len(src) < 3 {
			return size, nil, errTruncated
		}
		head := int64(src[0]) | int64(src[1])<<8 | int64(src[2])<<16
		n := head >> 3
		last = head&1 != 0
		src = src[3:]
		switch head >> 1 & 3 {
		case raw:
			size += n
		case rle:
			size, n = size+n, 1
		default:
			size += largest
		}
		if n > int64(len(src)) {
			return size, nil, errTruncated
		}
		src = src[n:]
	}
	if sum {
		if len(src) < 4 {
			return size, nil, errTruncated
		}
		src = src[4:]
	}
	return size, src, nil
}
