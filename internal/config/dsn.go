package config

import (
	"errors"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

const urlForm = "a connection URL: postgres://user:password@host:5432/database"

// byCode says how to write the characters in a password that have a meaning in a URL.
const byCode = "in a password, @ is written %40, / %2F, ? %3F, # %23, : %3A, % %25 and a space %20"

// refusals are what the client says of a connection string that it cannot read, and what we say: its own words may
// repeat a part of the string. Files that the string names are read at the first connection; they may be missing
// here and exist in production.
var refusals = []struct{ theirs, ours string }{
	{"failed to parse as URL", "cannot be read as a URL: " + byCode},
	{"failed to parse as keyword/value",
		"cannot be read as keyword=value pairs: a value with spaces goes in single quotes"},
	{"sslmode is invalid", "has an invalid sslmode: use disable, allow, prefer, require, verify-ca or verify-full"},
	{"invalid port", "has an invalid port"},
	{"could not match", "must have as many ports as hosts"},
	{"invalid connect_timeout", "has an invalid connect_timeout: use a number of seconds"},
	{"unknown target_session_attrs",
		"has an invalid target_session_attrs: without one, only a server that accepts writes is used"},
	{"unknown channel_binding", "has an invalid channel_binding: use disable, prefer or require"},
}

// DatabaseURL reads a connection string from outside a file: ${VAR} is replaced as in one. Its error has no part of
// the string.
func DatabaseURL(text string, lookup func(string) (string, bool)) (Secret, error) {
	s, err := expand(text, lookup)
	if err != nil {
		return "", err
	}
	if problem := badURL(s); problem != "" {
		return "", errors.New(problem)
	}
	return Secret(s), nil
}

// badURL says what is wrong with a connection string; what is in it may be secret and is not repeated.
func badURL(s string) string {
	switch {
	case s == "":
		return "is empty: give " + urlForm
	case isURL(s):
		if problem := badAuthority(s); problem != "" {
			return problem
		}
	case !keywordForm.MatchString(s):
		return "is not " + urlForm
	default:
		if problem := badKeywords(s); problem != "" {
			return problem
		}
	}
	_, err := pgconn.ParseConfig(s)
	if err == nil {
		return ""
	}
	for _, r := range refusals {
		if strings.Contains(err.Error(), r.theirs) {
			return r.ours
		}
	}
	return ""
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

// badAuthority refuses a URL whose password may hold an unescaped @ / ? or #. Clients differ in where they end such a
// password; what they take for the host or the database then goes into messages.
func badAuthority(s string) string {
	_, rest, _ := strings.Cut(s, "://")
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	switch {
	case strings.Contains(rest, "#"):
		return "has a #, which has no meaning in it: " + byCode
	case strings.Count(rest, "@") > 1:
		return "has more than one @: " + byCode
	case strings.Contains(rest, "@") && !strings.Contains(authority, "@"):
		return "has an @ after a / or ?: " + byCode
	}
	return ""
}

// keywordForm is how a string of keyword = value pairs begins.
var keywordForm = regexp.MustCompile(`^\s*[A-Za-z_]+\s*=`)

// keywords are libpq's, and the server's settings that are useful here. Any other may be the rest of an unquoted
// password with spaces, and the server's error would show it.
var keywords = set(
	"host", "hostaddr", "port", "dbname", "database", "user", "password", "passfile", "require_auth",
	"channel_binding", "connect_timeout", "client_encoding", "options", "application_name",
	"fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval",
	"keepalives_count", "tcp_user_timeout", "replication", "gssencmode", "sslmode", "sslnegotiation",
	"sslcompression", "sslcert", "sslkey", "sslpassword", "sslcertmode", "sslrootcert", "sslcrl",
	"sslcrldir", "sslsni", "requirepeer", "ssl_min_protocol_version", "ssl_max_protocol_version",
	"min_protocol_version", "max_protocol_version", "krbsrvname", "krbspn", "gsslib", "gssdelegation",
	"service", "servicefile", "target_session_attrs", "load_balance_hosts", "search_path", "role",
	"timezone", "datestyle", "work_mem", "statement_timeout", "lock_timeout", "synchronous_commit",
)

func badKeywords(s string) string {
	for strings.TrimSpace(s) != "" {
		m := keyword.FindStringSubmatch(s)
		if m == nil {
			return "cannot be read as keyword=value pairs: a value with spaces, quotes or backslashes goes in single quotes, " +
				"with \\ before ' and \\"
		}
		if !keywords[strings.ToLower(m[1])] {
			return "has a keyword that Postgres' clients do not know: a value with spaces goes in single quotes, " +
				"a setting of the server in options='-c name=value'"
		}
		s = s[len(m[0]):]
	}
	return ""
}
