package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"sinker/internal/local"

	"github.com/twmb/franz-go/pkg/kgo"
)

// source is where the demonstration's records come from.
type source interface {
	// next appends the next record to dst, or returns io.EOF.
	next(dst []byte) ([]byte, error)
	// count is how many there are.
	count() int64
	close()
}

func newSource(f *demoFlags) (source, error) {
	if f.in == "" {
		return &orderSource{n: f.rows}, nil
	}
	return newLineSource(f.in)
}

type orderSource struct{ i, n int64 }

func (s *orderSource) next(dst []byte) ([]byte, error) {
	if s.i == s.n {
		return dst, io.EOF
	}
	s.i++
	return local.Order(dst, s.i-1), nil
}
func (s *orderSource) count() int64 { return s.n }
func (s *orderSource) close()       {}

// lineSource is the lines of a file that are not empty.
type lineSource struct {
	file *os.File
	scan *bufio.Scanner
	n    int64
}

func newLineSource(path string) (*lineSource, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &lineSource{file: f}
	s.rewind()
	for {
		if _, err := s.next(nil); err == io.EOF {
			break
		} else if err != nil {
			f.Close()
			return nil, err
		}
		s.n++
	}
	if s.n == 0 {
		f.Close()
		return nil, fmt.Errorf("%s has no lines", path)
	}
	return s, s.rewind()
}

func (s *lineSource) rewind() error {
	s.scan = bufio.NewScanner(s.file)
	s.scan.Buffer(nil, 64<<20)
	_, err := s.file.Seek(0, io.SeekStart)
	return err
}

func (s *lineSource) next(dst []byte) ([]byte, error) {
	for s.scan.Scan() {
		if len(s.scan.Bytes()) > 0 {
			return append(dst, s.scan.Bytes()...), nil
		}
	}
	if err := s.scan.Err(); err != nil {
		return dst, err
	}
	return dst, io.EOF
}
func (s *lineSource) count() int64 { return s.n }
func (s *lineSource) close()       { s.file.Close() }

// produce sends all records, spread over the partitions.
func (d *demo) produce(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(d.kafka.ListenAddrs()...), kgo.DefaultProduceTopic(demoTopic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(50_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed atomic.Pointer[error]
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.Store(&err)
		}
	}
	for i := int64(0); ctx.Err() == nil && failed.Load() == nil; i++ {
		value, err := d.records.next(make([]byte, 0, 256))
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		cl.Produce(ctx, &kgo.Record{Value: value, Partition: int32(i % 4)}, done)
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("produce: %w", *err)
	}
	return nil
}
