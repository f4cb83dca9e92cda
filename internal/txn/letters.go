package txn

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
)

var letterColumns = []string{"pipeline", "topic", "partition", "record_offset", "record_timestamp", "table_name",
	"column_name", "code", "reason", "key", "value", "headers", "config_hash"}

// writeLetters writes the batch's dead letters, in the transaction that moves the position past
// their records.
func (s *Store) writeLetters(ctx context.Context, conn *pgx.Conn, b Batch) error {
	letters := s.buf.letters
	if len(letters) == 0 {
		return nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	text := storable(conn.PgConn().ParameterStatus("server_encoding"))
	_, err := conn.CopyFrom(ctx, pgx.Identifier{"sinker", "dead_letters"}, letterColumns,
		pgx.CopyFromSlice(len(letters), func(i int) ([]any, error) {
			return s.letterRow(&letters[i], text), nil
		}))
	return wrap(record.StepWrite, "sinker.dead_letters", err)
}

// pipeLetter writes one dead letter.
var pipeLetter = fmt.Sprintf(`INSERT INTO sinker.dead_letters (%s) VALUES (%s)`, strings.Join(letterColumns, ", "),
	parameters(len(letterColumns)))

// pipeLetters puts the batch's dead letters into the pipe.
func (s *Store) pipeLetters(ctx context.Context, p *pipe) error {
	text := storable(p.conn.PgConn().ParameterStatus("server_encoding"))
	for i := range s.buf.letters {
		if err := p.exec(ctx, pipeLetter, s.letterRow(&s.buf.letters[i], text)...); err != nil {
			return err
		}
	}
	return nil
}

// letterRow is a dead letter's values, in the order of letterColumns.
func (s *Store) letterRow(l *letter, text func(string) string) []any {
	r := l.record
	var column *string
	if l.bad.Column != "" {
		c := clean(l.bad.Column)
		column = &c
	}
	return []any{s.cfg.Pipeline, r.Topic, r.Partition, r.Offset, storableTime(r.Time()), l.table, column, l.bad.Code,
		text(l.reason()), r.Key, r.Value, headersJSON(r.Headers(), text), s.cfg.Hash}
}

// storableTime is a record's timestamp, or nil where Postgres' timestamptz cannot hold it. A
// producer may send any number of milliseconds.
func storableTime(t time.Time) *time.Time {
	const first, end = -210_866_803_200_000, 9_224_318_016_000_000 // 4714-11-24 BC and 294277-01-01, in milliseconds
	if ms := t.UnixMilli(); ms < first || ms >= end {
		return nil
	}
	return &t
}

// reason is why the record is a dead letter. It includes a timestamp that the column for timestamps
// cannot hold.
func (l *letter) reason() string {
	if t := l.record.Time(); storableTime(t) == nil {
		return fmt.Sprintf("%s (the record's timestamp is %d ms, which Postgres cannot hold)", l.bad.Reason, t.UnixMilli())
	}
	return l.bad.Reason
}

// storable returns a function that makes a message storable as text in a database of the encoding.
// The message may quote a record that was not storable, and the letter must be.
func storable(encoding string) func(string) string {
	if encoding == "UTF8" || encoding == "SQL_ASCII" { // the latter takes any bytes
		return clean
	}
	return func(s string) string { return ascii(clean(s)) }
}

func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", `\0`)
}

// ascii writes other characters as \u65e5. All of Postgres' encodings contain ASCII.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

type headerJSON struct {
	Key    string  `json:"key"`
	Value  *string `json:"value,omitempty"`
	Base64 *string `json:"value_base64,omitempty"`
}

// headersJSON keeps headers in their order, repeated ones too. A value that is not text is kept
// whole in base64.
func headersJSON(headers []record.Header, text func(string) string) []byte {
	if len(headers) == 0 {
		return nil
	}
	list := make([]headerJSON, len(headers))
	for i, h := range headers {
		list[i].Key = text(h.Key)
		v := string(h.Value)
		if text(v) == v {
			list[i].Value = &v
		} else {
			v = base64.StdEncoding.EncodeToString(h.Value)
			list[i].Base64 = &v
		}
	}
	out, err := json.Marshal(list)
	if err != nil {
		return nil // strings always marshal
	}
	return out
}
