// Package migrations carries the SQL that makes and changes schema sinker: golang-migrate pairs, embedded, so that
// one binary always brings the schema it was built for. It holds files only; internal/txn applies them.
package migrations

import "embed"

// FS holds the migration pairs, NNNNNN_what.up.sql and NNNNNN_what.down.sql.
//
//go:embed *.sql
var FS embed.FS
