package txn

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// BookReader reads a pipeline's books on a connection of its own, without the statement timeout of a store that loads.
type BookReader struct {
	conn     *pgx.Conn
	pipeline string
}

// OpenBooks connects. The caller closes the reader.
func OpenBooks(ctx context.Context, url, pipeline string) (*BookReader, error) {
	conn, err := ConnectToRead(ctx, url, "sinker verify")
	if err != nil {
		return nil, err
	}
	return &BookReader{conn, pipeline}, nil
}

// Read reads the books of one partition in one snapshot.
func (r *BookReader) Read(ctx context.Context, tp TopicPartition) (Books, error) {
	return ReadBooks(ctx, r.conn, r.pipeline, tp)
}

// Close ends the connection.
func (r *BookReader) Close(ctx context.Context) { r.conn.Close(context.WithoutCancel(ctx)) }

// ApplyChange connects and changes a partition's offset row: see ChangeOffset.
func ApplyChange(ctx context.Context, url, pipeline string, c Change) (Changed, error) {
	conn, err := Connect(ctx, url, "sinker offsets")
	if err != nil {
		return Changed{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return ChangeOffset(ctx, conn, pipeline, c)
}

// LettersQuery is the SQL that shows a person the newest dead letters of a pipeline.
func LettersQuery(pipeline string) string {
	return fmt.Sprintf("SELECT topic, partition, record_offset, table_name, column_name, code, reason "+
		"FROM sinker.dead_letters WHERE pipeline = %s ORDER BY id DESC LIMIT 10;", literal(pipeline))
}
