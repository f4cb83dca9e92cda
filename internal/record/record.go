package record

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// Record is a record of Kafka's. Whoever walks records hands out the same Record for each of them, with other contents,
// so its fields, and the bytes that they point to, hold until the next one. Clone keeps one.
type Record struct {
	TopicPartition
	Offset      int64
	Timestamp   int64  // in milliseconds since 1970; -1: the record has none
	LeaderEpoch int32  // -1 when not known
	Key, Value  []byte // nil: null, which is another than empty
	// Source gives the headers when they are asked for; nil: the record has none.
	Source HeaderSource
}

// Header is a header of a record. A name may come more than once.
type Header struct {
	Key   string
	Value []byte // nil: null
}

// HeaderSource has the headers of a record, in a form that costs nothing until they are asked for.
type HeaderSource interface {
	// Headers returns them in their order. The slice and what it points to hold for as long as the record.
	Headers() []Header
}

// HeaderList is headers that are there already.
type HeaderList []Header

// Headers returns the list.
func (l HeaderList) Headers() []Header { return l }

// Headers returns the record's headers in their order, or nil.
func (r *Record) Headers() []Header {
	if r.Source == nil {
		return nil
	}
	return r.Source.Headers()
}

// Size is how many bytes the key and the value have.
func (r *Record) Size() int64 { return int64(len(r.Key) + len(r.Value)) }

// Time is the timestamp as a time.
func (r *Record) Time() time.Time { return time.UnixMilli(r.Timestamp) }

// Clone copies the record with everything that it points to.
func (r *Record) Clone() *Record {
	c := *r
	c.Key, c.Value, c.Source = bytes.Clone(r.Key), bytes.Clone(r.Value), nil
	if headers := slices.Clone(r.Headers()); len(headers) > 0 {
		for i := range headers {
			headers[i].Key, headers[i].Value = strings.Clone(headers[i].Key), bytes.Clone(headers[i].Value)
		}
		c.Source = HeaderList(headers)
	}
	return &c
}
