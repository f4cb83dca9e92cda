package txn

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

const passedPositions = `
SELECT topic, partition, next_offset FROM sinker.offsets
WHERE pipeline = $1 AND next_offset > start_offset ORDER BY topic, partition`

const mayRead = `SELECT coalesce((SELECT has_table_privilege(c.oid, 'SELECT')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2), false)`

// late returns a warning when a table that is empty, or is still to be made, begins where its pipeline stands: what the
// pipeline has passed is not loaded into it. A table that this role may not read is not looked at.
func (t *target) late(ctx context.Context, s *Store, conn *pgx.Conn, made bool) (string, error) {
	if made {
		var may, filled bool
		if err := conn.QueryRow(ctx, mayRead, t.sink.Schema, t.sink.Table).Scan(&may); err != nil || !may {
			return "", err
		}
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+t.sink.Name()+` LIMIT 1)`).Scan(&filled); err != nil ||
			filled {
			return "", err
		}
	}
	rows, err := conn.Query(ctx, passedPositions, s.cfg.Pipeline)
	if err != nil {
		return "", err
	}
	var places []string
	more := 0
	var topic string
	var partition int32
	var position int64
	_, err = pgx.ForEachRow(rows, []any{&topic, &partition, &position}, func() error {
		switch {
		case !t.sink.Wants(topic):
		case len(places) == 3:
			more++
		default:
			places = append(places, fmt.Sprintf("%s/%d at offset %d", topic, partition, position))
		}
		return nil
	})
	if err != nil || len(places) == 0 {
		return "", err
	}
	at := strings.Join(places, ", ")
	if more > 0 {
		at += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s is empty, but the pipeline is past the start of its topics: it begins at %s, and earlier "+
		"records are not loaded into it. "+
		"To load all of them: a pipeline of another name (`name:`) with this sink alone", t.sink.Name(), at), nil
}
