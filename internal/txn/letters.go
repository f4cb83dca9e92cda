package txn

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

var letterColumns = []string{"pipeline", "topic", "partition", "record_offset", "record_timestamp", "table_name", "column_name", "code", "reason", "key", "value", "headers", "config_hash"}

// writeLetters writes the batch's dead letters, in the transaction that moves the position past their records.
func (s *Store) writeLetters(ctx context.Context, conn *pgx.Conn, b Batch) error {
	letters := s.buf.letters
	if len(letters) == 0 {
		return nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := conn.CopyFrom(ctx, pgx.Identifier{"sinker", "dead_letters"}, letterColumns, pgx.CopyFromSlice(len(letters), func(i int) ([]any, error) {
		l := &letters[i]
		r := l.record
		var column *string
		if l.bad.Column != "" {
			c := clean(l.bad.Column)
			column = &c
		}
		return []any{s.cfg.Pipeline, r.Topic, r.Partition, r.Offset, recordTime(r), l.table, column, l.bad.Code, clean(l.bad.Reason), r.Key, r.Value, headersJSON(r.Headers), s.cfg.Hash}, nil
	}))
	return wrap("write", "sinker.dead_letters", err)
}

// recordTime keeps a timestamp within what Postgres holds; a producer may send any.
func recordTime(r *kgo.Record) time.Time {
	if y := r.Timestamp.Year(); y < -4000 || y > 200000 {
		return time.Unix(0, 0).UTC()
	}
	return r.Timestamp
}

// clean makes a message storable as text: it may quote a record that was not.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", `\0`)
}

type headerJSON struct {
	Key    string  `json:"key"`
	Value  *string `json:"value,omitempty"`
	Base64 *string `json:"value_base64,omitempty"`
}

// headersJSON keeps headers with their order and repetitions; a value that is not text is kept whole in base64.
func headersJSON(headers []kgo.RecordHeader) []byte {
	if len(headers) == 0 {
		return nil
	}
	list := make([]headerJSON, len(headers))
	for i, h := range headers {
		list[i].Key = clean(h.Key)
		v := string(h.Value)
		if utf8.ValidString(v) && !strings.Contains(v, "\x00") {
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
