// Package format turns the bytes of a record into values: one file per format, and one line in formats.
//
// A plan says which fields it wants, and in which forms (Paths). A format compiles that into a Decoder, which fills one
// value for each. What a column makes of a value is no business of a format's.
//
// A decoder tells two kinds of trouble apart. What is wrong with a record is a *record.BadRecord: the record becomes a
// dead letter. What is wrong with the world (a schema that cannot be had just now) is an error: the partition waits,
// the record stays where it is, and no dead letter is written.
package format

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"sinker/internal/nearest"
	"sinker/internal/record"
	"sinker/internal/value"
)

// Format reads the records of one sink for one worker. It is used by one goroutine; a cache of schemas that workers
// share is behind it.
type Format interface {
	// Decoder returns a decoder of the wanted fields. It fills into, which has a value for each place of want.
	Decoder(want *Document, into []value.Value) Decoder
	// Fields returns a reader of whatever fields records have, for tables that are made of records, and for messages.
	Fields() Fields
}

// Decoder finds the wanted fields of one record after the other. It keeps its memory and allocates none per record.
type Decoder interface {
	// Decode fills the values. They hold until the next call, and only when bad and err are nil.
	//
	// bad is the record's fault, and no repetition changes it. err is the world's: the same bytes may pass later, for a
	// Source after Fetch.
	Decode(b []byte) (bad *record.BadRecord, err error)
}

// Fields reads the fields at the top of records.
type Fields interface {
	// Read reads a record and returns what it is; only an Object has fields. For bad and err see Decoder.
	Read(b []byte) (kind value.Kind, bad *record.BadRecord, err error)
	// Each calls f for each field of the Object that was read last, in their order. A repeated field comes repeatedly. The
	// value holds until f returns.
	Each(f func(name string, v *value.Value))
}

// Source is a Format that needs more than a record's bytes, such as the schema that a record names. JSON is none.
type Source interface {
	Format
	// Lacks says whether a record needs something that is not here yet. It does no I/O; it is asked for every record.
	Lacks(b []byte) bool
	// Fetch gets what Lacks misses. It is called before a transaction begins, never inside of one.
	//
	// An error is the world's (*Away says what to do). What does not exist at all, and is not going to, is no error of
	// Fetch: Lacks says false from then on, and Decode says what is bad about the record.
	Fetch(ctx context.Context, b []byte) error
}

// Noticing is a Decoder that counts the fields at the top of records that nobody wants.
type Noticing interface {
	// Unasked appends how often they came since the last call, in no order.
	Unasked(dst []FieldCount) []FieldCount
}

// FieldCount says in how many records a field was.
type FieldCount struct {
	Field string // "": those with long or odd names, and those after the first MostNames
	Count int64
}

// MostNames is how many names of fields are remembered.
const MostNames = 1000

// Away says that something cannot be had now that decoding needs: a registry is down, or does not let us in.
type Away struct {
	What    string // what is missing, where from, and why
	Command string // that helps; empty: there is none
	Err     error
}

func (a *Away) Error() string {
	if a.Err == nil {
		return a.What
	}
	return a.What + ": " + a.Err.Error()
}

func (a *Away) Unwrap() error { return a.Err }

// Options are what a format is made with.
type Options struct {
	MaxDepth int // how many objects and arrays may be inside one another; 0: DefaultDepth
}

// DefaultDepth is how deep records may be nested where nothing else is configured.
const DefaultDepth = 512

// Maker makes a format for one sink of one worker.
type Maker func(Options) (Format, error)

// Default is the format of a sink that names none.
const Default = "json"

// formats are those that a configuration may name.
var formats = map[string]Maker{
	"json": func(o Options) (Format, error) { return JSON(o.MaxDepth), nil },
}

var mu sync.RWMutex // of formats

// Register adds a format, which a test has of its own.
func Register(name string, m Maker) {
	mu.Lock()
	defer mu.Unlock()
	formats[name] = m
}

// Names are those that a configuration may name, sorted.
func Names() []string {
	mu.RLock()
	defer mu.RUnlock()
	return slices.Sorted(maps.Keys(formats))
}

// New makes the format of a name; of none, the default.
func New(name string, o Options) (Format, error) {
	if name == "" {
		name = Default
	}
	mu.RLock()
	m := formats[name]
	mu.RUnlock()
	if m != nil {
		return m(o)
	}
	near := nearest.Name(name, Names())
	if near != "" {
		near = fmt.Sprintf("; did you mean %q?", near)
	}
	return nil, fmt.Errorf("format %q is not known%s; known are %s", name, near, strings.Join(Names(), ", "))
}
