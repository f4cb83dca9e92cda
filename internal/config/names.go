package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// setTable reads "table", "schema.table", and parts in double quotes.
func (s *Sink) setTable(text string) error {
	parts, err := splitName(text)
	if err != nil {
		return err
	}
	s.Schema, s.Table = "public", parts[len(parts)-1]
	if len(parts) == 2 {
		s.Schema = parts[0]
	}
	return nil
}

// splitName cuts schema.table. A part in double quotes may hold dots, and quotes written twice. Names are taken as
// they stand: unlike in SQL, without quotes too nothing is turned into lower case.
func splitName(text string) (parts []string, err error) {
	rest := text
	for {
		var part string
		if strings.HasPrefix(rest, `"`) {
			if part, rest, err = cutQuoted(rest); err != nil {
				return nil, err
			}
		} else {
			end := strings.IndexByte(rest, '.')
			if end < 0 {
				end = len(rest)
			}
			part, rest = rest[:end], rest[end:]
			if !plainName.MatchString(part) {
				return nil, fmt.Errorf("%s is not made of letters, digits, _, $ and -: "+
					"if that is its name, put it in double quotes", shownText(part))
			}
		}
		if problem := badIdentifier(part); problem != "" {
			return nil, fmt.Errorf("%s %s", shownText(part), problem)
		}
		parts = append(parts, part)
		if rest == "" {
			return parts, nil
		}
		if rest[0] != '.' || len(parts) == 2 {
			return nil, errors.New("write table or schema.table; a name with dots goes in double quotes")
		}
		rest = rest[1:]
	}
}

// cutQuoted takes the name in double quotes off the front.
func cutQuoted(s string) (name, rest string, err error) {
	end := 1
	for end < len(s) && (s[end] != '"' || strings.HasPrefix(s[end:], `""`)) {
		if s[end] == '"' {
			end++
		}
		end++
	}
	if end >= len(s) {
		return "", "", errors.New(`a " is never closed`)
	}
	return strings.ReplaceAll(s[1:end], `""`, `"`), s[end+1:], nil
}

// plainName is what needs no quotes.
var plainName = regexp.MustCompile(`^[\pL\pM\pN_$-]*$`)

// joinName is what splitName reads.
func joinName(schema, table string) string {
	quote := func(part string) string {
		if !plainName.MatchString(part) {
			return `"` + strings.ReplaceAll(part, `"`, `""`) + `"`
		}
		return part
	}
	if schema == "public" {
		return quote(table)
	}
	return quote(schema) + "." + quote(table)
}

// badIdentifier says why a name cannot be Postgres'. Postgres would cut a longer one with a mere notice, and
// two names could become one.
func badIdentifier(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > 63:
		return fmt.Sprintf("has %d bytes, and Postgres keeps 63: choose a shorter name", len(s))
	case !utf8.ValidString(s) || strings.Contains(s, "\x00"):
		return "is not valid UTF-8 text without zero bytes: choose another name"
	}
	return ""
}
