package ops

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"sinker/internal/consume"
)

const (
	keepBatches = 50
	keepSeconds = 300
)

// history is what the process has done: since it started, lately, and in its last batches.
type history struct {
	mu      sync.Mutex
	totals  Totals
	recent  []Batch            // oldest first
	rows    [keepSeconds]int64 // committed in each of the last seconds, by second modulo keepSeconds
	second  int64              // the newest second of rows
	letters map[letterKind]*Letters
	fields  map[tableField]*UnknownField
}

// Totals are what this process has done since it started.
type Totals struct {
	Records int64 `json:"records"`
	Rows    int64 `json:"rows"`
	Dead    int64 `json:"dead_letters"`
	Bytes   int64 `json:"bytes"`
	Batches int64 `json:"batches"`
}

// Batch is a committed batch. The phases are parts of Millis.
type Batch struct {
	At      time.Time `json:"at"`
	Worker  int       `json:"worker"`
	Records int       `json:"records"`
	Rows    int64     `json:"rows"`
	Dead    int64     `json:"dead_letters"`
	Bytes   int64     `json:"bytes"`
	Retries int       `json:"retries"`
	Millis  float64   `json:"milliseconds"`
	Begin   float64   `json:"begin_ms"`
	Write   float64   `json:"write_ms"`
	Letters float64   `json:"dead_letters_ms"`
	Commit  float64   `json:"commit_ms"`
}

type letterKind struct{ topic, code string }

// Letters are the dead letters of one topic and kind that this process has written.
type Letters struct {
	Topic string    `json:"topic"`
	Code  string    `json:"code"`
	Count int64     `json:"count"`
	Last  time.Time `json:"last"` // when the newest was committed
}

func (h *history) add(r *consume.Report) {
	p := r.Result.Phases
	b := Batch{At: r.At, Worker: r.Worker, Records: r.Records, Dead: r.Result.Dead, Bytes: r.Bytes, Retries: r.Retries,
		Millis: millis(r.Took), Begin: millis(p.Begin), Write: millis(p.Write), Letters: millis(p.Dead),
		Commit: millis(p.Commit)}
	for _, t := range r.Result.Tables {
		b.Rows += t.Rows + t.Deleted
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.totals.Records += int64(b.Records)
	h.totals.Rows += b.Rows
	h.totals.Dead += b.Dead
	h.totals.Bytes += b.Bytes
	h.totals.Batches++
	if len(h.recent) == keepBatches {
		h.recent = slices.Delete(h.recent, 0, 1)
	}
	h.recent = append(h.recent, b)
	h.advance(r.At.Unix())
	h.rows[r.At.Unix()%keepSeconds] += b.Rows
	for _, l := range r.Result.Letters {
		h.addLetters(letterKind{l.Topic, l.Code}, l.Count, r.At)
	}
	for _, f := range r.Result.Unasked {
		h.addField(plain(f.Table), f.Field, f.Count, r.At)
	}
}

type tableField struct{ table, field string }

// UnknownField is a field that no column takes, of a table that is filled by name. An empty Field stands for those with
// long or odd names, and for all after the first hundred of a process.
type UnknownField struct {
	Table string    `json:"table"`
	Field string    `json:"field"`
	Count int64     `json:"count"`
	Last  time.Time `json:"last"` // when the newest was committed
}

// keepFields bounds the fields that are shown, whose names anybody may choose.
const keepFields = 100

func (h *history) addField(table, name string, n int64, at time.Time) {
	if h.fields == nil {
		h.fields = map[tableField]*UnknownField{}
	}
	f := h.fields[tableField{table, name}]
	if f == nil {
		if len(h.fields) >= keepFields {
			name = ""
		}
		if f = h.fields[tableField{table, name}]; f == nil {
			f = &UnknownField{Table: table, Field: name}
			h.fields[tableField{table, name}] = f
		}
	}
	f.Count += n
	f.Last = at
}

func (h *history) addLetters(kind letterKind, n int64, at time.Time) {
	if h.letters == nil {
		h.letters = map[letterKind]*Letters{}
	}
	l := h.letters[kind]
	if l == nil {
		l = &Letters{Topic: kind.topic, Code: kind.code}
		h.letters[kind] = l
	}
	l.Count += n
	l.Last = at
}

// advance empties the seconds between the newest one and now.
func (h *history) advance(now int64) {
	for s := max(h.second+1, now-keepSeconds+1); s <= now; s++ {
		h.rows[s%keepSeconds] = 0
	}
	h.second = max(h.second, now)
}

// rates are the rows committed in each of the last full seconds, oldest first, from the process's start at most.
func (h *history) rates(now, started time.Time) []int64 {
	h.advance(now.Unix())
	rates := []int64{}
	for s := max(h.second-keepSeconds+1, started.Unix()); s < h.second; s++ {
		rates = append(rates, h.rows[s%keepSeconds])
	}
	return rates
}

// fill puts the history into a status document.
func (h *history) fill(doc *Status, now, started time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	doc.Totals = h.totals
	doc.RowsPerSecond = h.rates(now, started)
	doc.Batches = append([]Batch{}, h.recent...)
	doc.Letters = []Letters{}
	for _, l := range h.letters {
		doc.Letters = append(doc.Letters, *l)
	}
	doc.UnknownFields = []UnknownField{}
	for _, f := range h.fields {
		doc.UnknownFields = append(doc.UnknownFields, *f)
	}
	slices.SortFunc(doc.UnknownFields, func(a, b UnknownField) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Field, b.Field))
	})
	slices.SortFunc(doc.Letters, func(a, b Letters) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Code, b.Code))
	})
}

// batches counts the batches committed so far.
func (h *history) batches() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.totals.Batches
}
