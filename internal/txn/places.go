package txn

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// places says where in sinker.offsets each partition's row was (its ctid) when this store last wrote it or read it
// under its lock.
//
// While any session holds a snapshot, Postgres keeps every version of a row that is newer, and whoever looks a row up
// by its key walks them all: after ten minutes of a hundred commits a second these are tens of thousands. The place
// leads straight to the newest version. It is only a short cut: a row that was written since has another place, the
// old version is not visible, and the look-up finds nothing, which sends the store to the keys. What is found is held
// to the key and compared under its lock as ever.
type places map[TopicPartition]string

const (
	mostPlaces = 64 // rows that are looked up by their places; a batch of more looks them up by their keys
	mostPruned = 16 // pages that a transaction prunes
	fullFrom   = 8  // the number of a row version in its page from which on the page is worth pruning
)

// placesOf returns the batch's places, nil where the rows are to be looked up by their keys: one is not known, there
// are many (a look-up by key prunes each page, and many rows are on many pages), or the server cannot scan one page
// (before 14).
func (s *Store) placesOf(conn *pgx.Conn, b Batch) []string {
	version, _ := strconv.Atoi(firstNumber(conn.PgConn().ParameterStatus("server_version")))
	if len(b) > mostPlaces || version < 14 {
		return nil
	}
	all := make([]string, 0, len(b))
	for i := range b {
		at, ok := s.places[b[i].TopicPartition]
		if !ok {
			return nil
		}
		all = append(all, at)
	}
	return all
}

// prunePage reads one page. Postgres prunes dead versions when it reads a page for a scan or an index, but not for a
// place; without that each commit's version would stay until the next vacuum.
const prunePage = `SELECT count(*) FROM sinker.offsets WHERE ctid >= $1::text::tid AND ctid <= $2::text::tid`

// fullPages returns the pages of the places that may have much to prune, each as "(page".
func fullPages(places []string) (pages []string) {
	for _, p := range places {
		page, number, _ := strings.Cut(strings.TrimSuffix(p, ")"), ",")
		if n, _ := strconv.Atoi(number); n >= fullFrom && len(pages) < mostPruned && !slices.Contains(pages, page) {
			pages = append(pages, page)
		}
	}
	return pages
}

func (p places) forget(b Batch) {
	for i := range b {
		delete(p, b[i].TopicPartition)
	}
}

// planner is how this store's statements about the offset rows are planned: by places only. By its own judgement the
// planner reads all of a table that is small when it plans, and keeps the plan when the table has grown. And it would
// plan again each time, because its general plan assumes ten places where a batch has few. Planning costs more than
// the statements.
//
// only is set for our own statements, and taken back by any at once: what triggers and foreign keys plan is not to be
// planned like this. Both are lists of calls of set_config.
type planner struct{ only, any string }

// readPlanner makes both, any for what the server, the database and the role say.
const readPlanner = `
SELECT string_agg(format('set_config(%L, %L, true)', v.name, v.ours), ', '),
    string_agg(format('set_config(%L, %L, true)', v.name, s.setting), ', ')
FROM (VALUES ('enable_seqscan', 'off'), ('enable_indexscan', 'off'), ('enable_bitmapscan', 'off'),
    ('plan_cache_mode', 'force_generic_plan')) AS v (name, ours)
JOIN pg_catalog.pg_settings s ON s.name = v.name`

// learnPlanner is for a new connection. Another server may have the rows elsewhere.
func (s *Store) learnPlanner(ctx context.Context, conn *pgx.Conn) error {
	clear(s.places)
	return conn.QueryRow(ctx, readPlanner).Scan(&s.planner.only, &s.planner.any)
}
