package txn

import (
	"fmt"

	"sinker/internal/record"
	"sinker/internal/transform"

	"github.com/dustin/go-humanize/english"
)

// mark is what became of a record; of several sinks' verdicts the highest counts.
type mark uint8

const (
	filtered mark = iota
	written
	dead
)

// batchState is what one attempt finds out about its batch. It is used again by the next one, so that a batch costs no
// allocation a record.
type batchState struct {
	marks   [][]mark // by range, by record
	letters []letter
	unready []record.Unready // the first of each partition: the batch cannot be committed
	sums    []Checksum       // by range, as far as the writers have added them up
	tally   []tally          // by range, of the records that were streamed; of all after count
	tables  []TableResult
	rows    []byte // encoded rows
	aside   aside
	items   []item
	effects []transform.Effect
	slots   []int32 // hash table of dedupe
	fields  []transform.FieldCount
	tries   int // writes that the last sift took
}

type tally struct{ written, filtered, dead, suppressed int64 }

// letter is a dead letter to be written: a record, the table it was meant for, and why not.
type letter struct {
	rng    int // index of the range
	record *record.Record
	table  string
	bad    *transform.BadRecord
}

func (st *batchState) reset(b Batch) {
	st.letters, st.unready = st.letters[:0], st.unready[:0]
	st.tables = nil
	for len(st.marks) < len(b) {
		st.marks = append(st.marks, nil)
	}
	st.sums = append(st.sums[:0], make([]Checksum, len(b))...)
	st.tally = append(st.tally[:0], make([]tally, len(b))...)
	for i := range b {
		st.unmark(i, b[i].Held())
	}
}

// unmark begins with n records of a range.
func (st *batchState) unmark(rng, n int) {
	if cap(st.marks[rng]) < n {
		st.marks[rng] = make([]mark, n)
	}
	st.marks[rng] = st.marks[rng][:n]
	clear(st.marks[rng])
}

// fold adds the marks of a range to the tally.
func (st *batchState) fold(rng int) {
	var n [3]int64
	for _, m := range st.marks[rng] {
		n[m]++
	}
	t := &st.tally[rng]
	t.written, t.filtered, t.dead = t.written+n[written], t.filtered+n[filtered], t.dead+n[dead]
}

// count sums everything up for the offset rows and for the result.
func (s *Store) count(b Batch, res *Result) {
	st := &s.buf
	for i := range b {
		st.fold(i)
	}
	s.suppress(b, res)
	for i := range b {
		t := st.tally[i]
		res.Written, res.Filtered, res.Dead = res.Written+t.written, res.Filtered+t.filtered, res.Dead+t.dead
	}
	res.Consumed = res.Written + res.Filtered + res.Dead
	res.Tables = st.tables
	res.Letters = countLetters(b, st.letters)
}

func countLetters(b Batch, letters []letter) (counts []LetterCount) {
	index := map[LetterCount]int{}
	for _, l := range letters {
		k := LetterCount{Topic: b[l.rng].Topic, Code: l.bad.Code}
		i, ok := index[k]
		if !ok {
			i = len(counts)
			index[k] = i
			counts = append(counts, k)
		}
		counts[i].Count++
	}
	return counts
}

// flood is the recent share of dead letters of a partition.
type flood struct{ consumed, dead int64 }

const (
	floodWindow  = 10_000 // records after which the past counts half
	floodMinimum = 10     // dead letters below which no share stops a partition
)

// judge refuses a batch with records that could not be read, and one whose bad records must stop their partition: at
// the first one when the policy says so, or when too large a share of the partition's last records would become dead
// letters. Nothing has been committed yet.
func (s *Store) judge(b Batch) error {
	if err := unreadyError(s.buf.unready); err != nil {
		return err
	}
	if b.Moves() == 0 {
		return nil // no partition is to be stopped
	}
	if s.cfg.StopOnBad && len(s.buf.letters) > 0 {
		l := s.firstLetter()
		return &StopError{TopicPartition: b[l.rng].TopicPartition, Offset: l.record.Offset,
			Reason: fmt.Sprintf("a record cannot become a row of %s: %v", l.table, l.bad)}
	}
	if s.cfg.StopAfter <= 0 {
		return nil
	}
	return s.judgeFloods(b)
}

// firstLetter is the dead letter with the lowest offset of the range that has the first one: with several sinks they
// are not found in offset order.
func (s *Store) firstLetter() letter {
	first := s.buf.letters[0]
	for _, l := range s.buf.letters[1:] {
		if l.rng == first.rng && l.record.Offset < first.record.Offset {
			first = l
		}
	}
	return first
}

func (s *Store) judgeFloods(b Batch) error {
	deads := make([]int64, len(b))
	firsts := make([]*letter, len(b))
	for i := range s.buf.letters {
		l := &s.buf.letters[i]
		deads[l.rng]++
		if firsts[l.rng] == nil || l.record.Offset < firsts[l.rng].record.Offset {
			firsts[l.rng] = l
		}
	}
	for i := range b {
		f := s.floods[b[i].TopicPartition]
		if f == nil {
			f = &flood{}
			s.floods[b[i].TopicPartition] = f
		}
		next := flood{f.consumed + int64(b[i].Count()), f.dead + deads[i]}
		if deads[i] > 0 && next.dead >= floodMinimum && float64(next.dead) > s.cfg.StopAfter*float64(next.consumed) {
			return &StopError{TopicPartition: b[i].TopicPartition, Offset: firsts[i].record.Offset, Reason: fmt.Sprintf(
				"%d of its last %s cannot become rows, more than stop_after allows; the last reason: %s: %v",
				next.dead, english.Plural(int(next.consumed), "record", ""), firsts[i].table, firsts[i].bad)}
		}
	}
	for i := range b { // only a batch that passes counts
		f := s.floods[b[i].TopicPartition]
		f.consumed, f.dead = f.consumed+int64(b[i].Count()), f.dead+deads[i]
		if f.consumed > floodWindow {
			f.consumed, f.dead = f.consumed/2, f.dead/2
		}
	}
	return nil
}
