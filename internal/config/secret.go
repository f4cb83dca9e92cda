package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
)

// Secret is text that is never printed: fmt with any verb, JSON, YAML and slog all give ***. Only Reveal
// returns the text. (fmt does not call the methods of unexported fields: keep secrets in exported ones.)
type Secret string

const hidden = "***"

// Reveal returns the text, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// String returns ***, or nothing when there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format answers every verb: without it, one that does not fit a string, such as %d, would print the text.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		fmt.Fprintf(f, "%q", s.String())
		return
	}
	io.WriteString(f, s.String())
}

// MarshalText keeps JSON and YAML from printing it, LogValue slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.String()) }

// RedactURL returns a connection string, in either of Postgres' forms, without its passwords, for messages. Where
// it is not certain what belongs to a password it hides more rather than less.
func RedactURL(s string) string {
	if strings.Contains(s, "://") && !keywordForm.MatchString(s) {
		return redactURL(s)
	}
	return redactKeywords(s)
}

// userinfo matches from the scheme to the last @: a password may hold any character, also ones that should have been
// percent-encoded.
var userinfo = regexp.MustCompile(`(?s)^([^:/?#@]*://[^:@]*)(:.*)?@`)

func redactURL(s string) string {
	u, err := url.Parse(s)
	clear := err == nil && u.Fragment == "" && strings.Count(s, "@") <= 1 && (u.User != nil || !strings.Contains(s, "@"))
	if !clear {
		s = userinfo.ReplaceAllString(s, "$1:"+hidden+"@")
		if i := strings.IndexAny(s, "?#"); i >= 0 {
			s = s[:i] + "?" + hidden
		}
		return s
	}
	user := ""
	if u.User != nil {
		user = url.User(u.User.Username()).String()
		if _, has := u.User.Password(); has {
			user += ":" + hidden
		}
		user += "@"
	}
	s = u.Scheme + "://" + user + u.Host + u.EscapedPath()
	for i, pair := range strings.Split(u.RawQuery, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(key); err != nil || strings.Contains(strings.ToLower(name), "password") {
			value = hidden
		}
		if pair != "" {
			s += map[bool]string{true: "?", false: "&"}[i == 0] + key + "=" + value
		}
	}
	return s
}

// keyword matches one keyword = value, the value in single quotes or not, with backslashes.
var keyword = regexp.MustCompile(`^\s*([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?:\s|$)`)

func redactKeywords(s string) string {
	var out []string
	for strings.TrimSpace(s) != "" {
		m := keyword.FindStringSubmatch(s)
		if m == nil {
			return hidden // it is not clear what is a password
		}
		if strings.Contains(strings.ToLower(m[1]), "password") {
			m[2] = hidden
		}
		out = append(out, m[1]+"="+m[2])
		s = s[len(m[0]):]
	}
	return strings.Join(out, " ")
}
