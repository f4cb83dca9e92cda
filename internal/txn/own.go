package txn

import (
	"context"
	"fmt"
	"strings"

	"sinker/internal/record"

	"github.com/jackc/pgx/v5"
)

const ownPrivileges = `
SELECT string_agg(DISTINCT 'GRANT ' || w.privilege || ' ON sinker.' || w.name, '; ')
FROM (VALUES ('offsets', 'SELECT'), ('offsets', 'INSERT'), ('offsets', 'UPDATE'), ('dead_letters', 'INSERT'),
             ('batches', 'SELECT'), ('batches', 'INSERT'), ('batches', 'DELETE')) AS w (name, privilege)
JOIN pg_catalog.pg_class c ON c.relname = w.name AND c.relnamespace = to_regnamespace('sinker')
WHERE NOT has_table_privilege(c.oid, w.privilege)`

const mayMigrate = `
SELECT CASE WHEN to_regnamespace('sinker') IS NULL THEN has_database_privilege(current_database(), 'CREATE')
            ELSE has_schema_privilege('sinker', 'CREATE') AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = to_regnamespace('sinker')
                    AND c.relkind = 'r' AND NOT pg_has_role(c.relowner, 'USAGE')) END`

// CheckOwn says what keeps this role from using schema sinker; when behind, from bringing it up to date as `run` does.
func (s *Store) CheckOwn(ctx context.Context, behind bool) error {
	conn, err := s.session(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return wrap(record.StepCheck, "", checkOwn(ctx, conn, behind))
}

const auditGrant = `
SELECT coalesce((SELECT 'GRANT ' || concat_ws(', ', CASE WHEN NOT has_table_privilege(c.oid,
    'SELECT') THEN 'SELECT' END,
                        CASE WHEN NOT has_table_privilege(c.oid, 'INSERT') THEN 'INSERT' END)
    FROM pg_catalog.pg_class c
    WHERE c.relname = 'audit' AND c.relnamespace = to_regnamespace('sinker')
      AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT'))), '')`

// MissingOnAudit returns the GRANT that this role lacks on sinker.audit; empty when it lacks none. Loading needs none:
// `verify` reads the table, and `offsets set`, `adopt` and `reset` write to it.
func (s *Store) MissingOnAudit(ctx context.Context) (grant string, err error) {
	conn, err := s.session(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := conn.QueryRow(ctx, auditGrant).Scan(&grant); err != nil || grant == "" {
		return "", wrap(record.StepCheck, "", err)
	}
	return grant + " ON sinker.audit TO " + quote(conn.Config().User), nil
}

func checkOwn(ctx context.Context, conn *pgx.Conn, behind bool) error {
	user := conn.Config().User
	refuse := func(hint, format string, args ...any) error {
		return &Error{Class: Schema, Step: record.StepCheck, Code: "privilege", Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if behind {
		var may bool
		if err := conn.QueryRow(ctx, mayMigrate).Scan(&may); err != nil {
			return err
		}
		if !may {
			return refuse("run `sinker migrate up --to URL` as a role that may, and `run` with --migrate=false; or set "+
				"postgres.migrate_url", "user %s may not make or change schema sinker", user)
		}
		return nil
	}
	var use bool
	if err := conn.QueryRow(ctx, `SELECT has_schema_privilege('sinker', 'USAGE')`).Scan(&use); err != nil {
		return err
	}
	if !use {
		return refuse("GRANT USAGE ON SCHEMA sinker TO "+quote(user), "user %s has no USAGE privilege on schema sinker", user)
	}
	var grants *string
	if err := conn.QueryRow(ctx, ownPrivileges).Scan(&grants); err != nil {
		return err
	}
	if grants != nil {
		to := " TO " + quote(user)
		return refuse(strings.ReplaceAll(*grants, "; ", to+"; ")+to, "user %s lacks privileges on sinker's own tables", user)
	}
	return nil
}
