package config

import (
	"log/slog"
	"net/url"
	"regexp"
)

// Secret is text that is never printed: every way of formatting it gives ***.
type Secret string

const hidden = "***"

// Reveal returns the text, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString, MarshalText and LogValue keep %#v, JSON, YAML and slog from printing it.
func (s Secret) GoString() string             { return `"` + s.String() + `"` }
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.String()) }

var keywordPassword = regexp.MustCompile(`(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)`)

// RedactURL returns a connection string without its password, for messages.
func RedactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		return keywordPassword.ReplaceAllString(s, "${1}"+hidden)
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "xxx")
	}
	q := u.Query()
	for _, k := range []string{"password", "sslpassword"} {
		if q.Has(k) {
			q.Set(k, "xxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}
