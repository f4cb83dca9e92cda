package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zeebo/xxh3"
)

// truth is what a topic holds, as Kafka's own console consumer shows it: the Java client, read_committed, and not the
// library that sinker and the producers use. The records of each partition are in a file, 17 bytes each, in the order
// of their offsets, so that tens of millions need no memory.
type truth struct {
	topic   string
	dir     string
	upsert  bool
	parts   map[int32]*partTruth
	seen    bitmap
	twice   int64 // numbers that Kafka has more than once: its producers' doubling, not sinker's
	records int64
	left    int // partitions whose last record has not come
	last    map[string]place
	sums    map[string]*sums // by group; nil: no table of sums
}

type partTruth struct {
	file   *os.File
	out    *bufio.Writer
	offset int64 // of its newest record
	ended  bool
	rows   int64
	dead   int64
}

// What became of a record that a partition's file holds.
const (
	isRow     byte = iota
	isDead         // in every table
	isDeadBut      // in the table of rows, and counted in the table of sums
)

// place is a record: where, and a hash of what a row of it must hold. A hash of 0 stands for a deletion.
type place struct {
	partition int32
	offset    int64
	hash      uint64
}

func newTruth(dir, topic string, partitions int, upsert bool) *truth {
	return &truth{topic: topic, dir: dir, upsert: upsert, parts: map[int32]*partTruth{}, left: partitions,
		last: map[string]place{}}
}

// readTruth has Kafka's consumer print a topic until the last record of every partition has come.
func (st *stage) readTruth(ctx context.Context, t *table, partitions int) (*truth, error) {
	tr := newTruth(st.dir, t.name, partitions, t.upsert)
	if t.sums != "" {
		tr.sums = map[string]*sums{}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	cmd := st.kafka.Release.Command("512m", "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server",
		strings.Join(st.kafka.Brokers(), ","), "--topic", t.name, "--from-beginning", "--isolation-level", "read_committed",
		"--timeout-ms", "60000", "--property", "print.partition=true", "--property", "print.offset=true", "--property",
		"print.key=true")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	err = tr.read(out)
	cmd.Process.Kill() // it never ends by itself, or only after a silence
	cmd.Wait()
	if err != nil {
		text := complaints.String()
		return nil, fmt.Errorf("Kafka's console consumer on topic %s: %w\n%s", t.name, err, text[max(0, len(text)-2000):])
	}
	return tr, nil
}

// read takes what the consumer prints.
func (tr *truth) read(in io.Reader) error {
	lines := bufio.NewReaderSize(in, 1<<20)
	for tr.left > 0 {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("it ended after %d records, %d partitions were not at their end: %w", tr.records, tr.left, err)
		}
		if err := tr.take(bytes.TrimRight(line, "\r\n")); err != nil {
			return fmt.Errorf("it printed %q: %w", line[:min(len(line), 300)], err)
		}
	}
	return tr.flush()
}

var errNotOurs = errors.New("that is no record of this program's")

// take reads a line such as `Partition:0	Offset:12	k7	{"id":7,…}`; a record without a value shows null.
func (tr *truth) take(line []byte) error {
	f := bytes.SplitN(line, []byte("\t"), 4)
	if len(f) != 4 || !bytes.HasPrefix(f[0], []byte("Partition:")) || !bytes.HasPrefix(f[1], []byte("Offset:")) {
		return errNotOurs
	}
	partition, err1 := strconv.ParseInt(string(f[0][len("Partition:"):]), 10, 32)
	offset, err2 := strconv.ParseInt(string(f[1][len("Offset:"):]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	at, key, fate := place{partition: int32(partition), offset: offset}, f[2], isRow
	switch {
	case bytes.HasPrefix(key, []byte(badKey)):
		fate = isDead
		if r, err := rowOf(f[3]); err == nil && r.group != "" && tr.sums != nil {
			fate = isDeadBut
			if err := tr.fold(r); err != nil {
				return err
			}
		}
	case string(f[3]) == "null":
		if !tr.upsert {
			fate = isDead
		}
	default:
		r, err := rowOf(f[3])
		if err != nil {
			return err
		}
		if tr.seen.has(r.id) {
			tr.twice++
		}
		tr.seen.set(r.id)
		at.hash = hashRow(r.text)
		if tr.sums != nil {
			if err := tr.fold(r); err != nil {
				return err
			}
		}
	}
	return tr.add(at, string(key), fate)
}

// add notes a record. Of the upserted table's only the last of each key counts.
func (tr *truth) add(at place, key string, fate byte) error {
	dead := fate != isRow
	p := tr.parts[at.partition]
	if p == nil {
		f, err := os.Create(filepath.Join(tr.dir, fmt.Sprintf("truth-%s-%d", tr.topic, at.partition)))
		if err != nil {
			return err
		}
		p = &partTruth{file: f, out: bufio.NewWriterSize(f, 1<<18), offset: -1}
		tr.parts[at.partition] = p
	}
	if at.offset <= p.offset {
		return fmt.Errorf("offset %d after %d", at.offset, p.offset)
	}
	p.offset = at.offset
	tr.records++
	if tr.upsert && !dead {
		tr.last[key] = at
	}
	if dead || !tr.upsert {
		var rec [17]byte
		binary.LittleEndian.PutUint64(rec[:], uint64(at.offset))
		binary.LittleEndian.PutUint64(rec[8:], at.hash)
		rec[16] = fate
		if dead {
			p.dead++
		} else {
			p.rows++
		}
		if _, err := p.out.Write(rec[:]); err != nil {
			return err
		}
	}
	if strings.HasPrefix(key, endKey) && !p.ended {
		p.ended = true
		tr.left--
	}
	return nil
}

func (tr *truth) flush() error {
	for _, p := range tr.parts {
		if err := p.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (tr *truth) close() {
	for _, p := range tr.parts {
		p.file.Close()
		os.Remove(p.file.Name())
	}
}

// each streams a partition's records of these fates, in order of their offsets.
func (tr *truth) each(partition int32, fates ...byte) func(yield func(place, error) bool) {
	return func(yield func(place, error) bool) {
		p := tr.parts[partition]
		if p == nil {
			return
		}
		if _, err := p.file.Seek(0, io.SeekStart); err != nil {
			yield(place{}, err)
			return
		}
		in := bufio.NewReaderSize(p.file, 1<<18)
		var rec [17]byte
		for {
			if _, err := io.ReadFull(in, rec[:]); err != nil {
				if err != io.EOF {
					yield(place{}, err)
				}
				return
			}
			if !slices.Contains(fates, rec[16]) {
				continue
			}
			if !yield(place{partition, int64(binary.LittleEndian.Uint64(rec[:])), binary.LittleEndian.Uint64(rec[8:])}, nil) {
				return
			}
		}
	}
}

// row is a record's JSON: what Postgres prints of its row (id, k, n, amount, sum between tabs), and its group.
type row struct {
	text      []byte
	id        int64
	n, amount []byte
	group     string // "": the record has none
}

// rowOf reads the JSON that this program wrote.
func rowOf(value []byte) (r row, err error) {
	rest := value
	for i, head := range []string{`{"id":`, `,"k":"`, `","n":`, `,"amount":"`, `","sum":`} {
		before, after, ok := bytes.Cut(rest, []byte(head))
		if !ok || i == 0 && len(before) > 0 {
			return r, errNotOurs
		}
		switch i {
		case 1:
			if r.id, err = strconv.ParseInt(string(before), 10, 64); err != nil {
				return r, errNotOurs
			}
		case 3:
			r.n = before
		case 4:
			r.amount = before
		}
		if i > 0 {
			r.text = append(append(r.text, before...), '\t')
		}
		rest = after
	}
	last, ok := bytes.CutSuffix(rest, []byte("}"))
	if !ok {
		return r, errNotOurs
	}
	last, group, _ := bytes.Cut(last, []byte(`,"g":"`))
	r.text, r.group = append(r.text, last...), string(bytes.TrimSuffix(group, []byte(`"`)))
	return r, nil
}

// hashRow is never 0.
func hashRow(row []byte) uint64 { return xxh3.Hash(row) | 1 }
