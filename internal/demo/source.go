package demo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"sinker/internal/orderdata"
	"sinker/internal/record"
	"sinker/internal/transform"
)

// source is where the demonstration's records come from. They are numbered, from 0, and can be had again for the proof.
type source interface {
	count() int64
	at(dst []byte, i int64) ([]byte, error) // appends record i
	longest() int                           // in bytes, roughly
	columns() (string, error)               // of the table they fit, as YAML
	close()
}

func newSource(o *Options) (source, error) {
	if o.In == "" {
		return orderSource(o.Rows), nil
	}
	return newLineSource(o.In)
}

// orderSource is generated orders.
type orderSource int64

func (n orderSource) count() int64                           { return int64(n) }
func (n orderSource) at(dst []byte, i int64) ([]byte, error) { return orderdata.Order(dst, i), nil }
func (n orderSource) longest() int                           { return 256 }
func (n orderSource) columns() (string, error)               { return orderdata.Columns, nil }
func (n orderSource) close()                                 {}

// lineSource is the lines of a file that are not blank.
type lineSource struct {
	file  *os.File
	lines []span
}

type span struct {
	at  int64
	len int
}

// longestLine is the longest line of a file, in bytes: a Kafka record must hold it.
const longestLine = 64 << 20

func newLineSource(path string) (*lineSource, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &lineSource{file: f}
	if err := s.index(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// index finds the lines.
func (s *lineSource) index() error {
	r := bufio.NewReaderSize(s.file, 1<<20)
	var at int64   // where the line begins
	var length int // of what is read of it
	blank := true
	for n := 1; ; {
		part, err := r.ReadSlice('\n')
		length += len(part)
		blank = blank && len(bytes.TrimSpace(part)) == 0
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if length > longestLine {
			return fmt.Errorf("line %d is longer than %d MiB", n, longestLine>>20)
		}
		if !blank {
			s.lines = append(s.lines, span{at, length - len(part) + len(bytes.TrimRight(part, "\r\n"))})
		}
		if errors.Is(err, io.EOF) {
			break
		}
		at, length, blank, n = at+int64(length), 0, true, n+1
	}
	if len(s.lines) == 0 {
		return errors.New("there are no lines in it")
	}
	return nil
}

func (s *lineSource) count() int64 { return int64(len(s.lines)) }
func (s *lineSource) close()       { s.file.Close() }
func (s *lineSource) longest() (n int) {
	for _, l := range s.lines {
		n = max(n, l.len)
	}
	return n
}

func (s *lineSource) at(dst []byte, i int64) ([]byte, error) {
	n := len(dst)
	dst = append(dst, make([]byte, s.lines[i].len)...)
	_, err := s.file.ReadAt(dst[n:], s.lines[i].at)
	return dst, err
}

// sampled is how many lines at most decide about the columns. They are taken from all over the file.
const sampled = 20_000

// columns are what `create: yes` without columns would make, but of more lines than the first batch has.
func (s *lineSource) columns() (string, error) {
	columns, err := s.infer()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, entry := range transform.ColumnsYAML(columns) {
		fmt.Fprintf(&b, "      %s\n", entry)
	}
	return b.String(), nil
}

func (s *lineSource) infer() ([]transform.Column, error) {
	step := max(1, s.count()/sampled)
	var sample []*record.Record
	for i := int64(0); i < s.count(); i += step {
		value, err := s.at(nil, i)
		if err != nil {
			return nil, err
		}
		sample = append(sample, &record.Record{Value: value})
	}
	in, err := transform.Infer(transform.Rule{}, nil, slices.Values(sample))
	if err != nil {
		return nil, err
	}
	kept := in.Columns[:0]
	for _, c := range in.Columns {
		if c.Name != "kafka_partition" && c.Name != "kafka_offset" { // these say where a row is from
			kept = append(kept, c)
		}
	}
	return kept, nil
}
