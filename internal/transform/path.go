package transform

import (
	"encoding/json"
	"fmt"
	"strings"
)

// origin is the part of a record that a column comes from.
type origin uint8

const (
	fromField    origin = iota // a field of the value
	fromValue                  // the value as a whole
	fromKeyField               // a field of the key
	fromKey                    // the key's bytes
	fromHeader                 // the last header of a name
	fromHeaders                // all headers
	fromTopic
	fromPartition
	fromOffset
	fromTimestamp
	fromNothing // of the records only the number counts
)

// path is a parsed Column.Path.
type path struct {
	origin origin
	fields []string // of fromField and fromKeyField
	header string
}

// parsePath reads a path as described at Column.
func parsePath(s string) (path, error) {
	switch s {
	case ".":
		return path{origin: fromValue}, nil
	case "$key":
		return path{origin: fromKey}, nil
	case "$headers":
		return path{origin: fromHeaders}, nil
	case "$topic":
		return path{origin: fromTopic}, nil
	case "$partition":
		return path{origin: fromPartition}, nil
	case "$offset":
		return path{origin: fromOffset}, nil
	case "$timestamp":
		return path{origin: fromTimestamp}, nil
	}
	if name, ok := strings.CutPrefix(s, "$headers."); ok {
		// A header's name is taken whole, dots and all: there is nothing within a header.
		if fields, err := splitPath(name); err == nil && len(fields) == 1 {
			name = fields[0]
		}
		if name == "" {
			return path{}, fmt.Errorf("path %q names no header; write $headers.name", s)
		}
		return path{origin: fromHeader, header: name}, nil
	}
	if rest, ok := strings.CutPrefix(s, "$key."); ok {
		fields, err := splitPath(rest)
		if err != nil {
			return path{}, fmt.Errorf("path %q: %w", s, err)
		}
		return path{origin: fromKeyField, fields: fields}, nil
	}
	if strings.HasPrefix(s, "$") {
		known := []string{"$key", "$headers", "$topic", "$partition", "$offset", "$timestamp"}
		return path{}, fmt.Errorf("path %q is not known%s; known are %s; a field of that name is written in quotes: "+
			"%q", s, didYouMean(s, known), strings.Join(known, ", "), s)
	}
	fields, err := splitPath(s)
	if err != nil {
		return path{}, fmt.Errorf("path %q: %w", s, err)
	}
	return path{fields: fields}, nil
}

// CheckPath says what is wrong with a Column.Path, as far as that can be said without a table. An empty one is right.
func CheckPath(s string) error {
	if s == "" {
		return nil
	}
	_, err := parsePath(s)
	return err
}

// splitPath cuts a path at its dots. A quoted segment is a JSON string.
func splitPath(s string) (fields []string, err error) {
	for {
		var field string
		if strings.HasPrefix(s, `"`) {
			if field, s, err = cutQuoted(s); err != nil {
				return nil, err
			}
			fields = append(fields, field)
			if s == "" {
				return fields, nil
			}
			if s[0] != '.' {
				return nil, fmt.Errorf("after %q comes a dot or nothing", field)
			}
			s = s[1:]
			continue
		}
		field, rest, more := strings.Cut(s, ".")
		switch {
		case field == "":
			return nil, fmt.Errorf("there is nothing between two dots, or at an end; a field with an empty name is written \"\"")
		case strings.ContainsAny(field, "[]"):
			return nil, fmt.Errorf("%s: elements of an array cannot be picked; take the whole array as jsonb, or write "+
				"the name in quotes if the brackets belong to it", field)
		case strings.ContainsAny(field, "\" \t"):
			return nil, fmt.Errorf("%s: write the name in quotes", field)
		}
		fields = append(fields, field)
		if !more {
			return fields, nil
		}
		s = rest
	}
}

func cutQuoted(s string) (field, rest string, err error) {
	end := 1
	for end < len(s) && s[end] != '"' {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s) {
		return "", "", fmt.Errorf("the quote at %s is not closed", s)
	}
	if err := json.Unmarshal([]byte(s[:end+1]), &field); err != nil {
		return "", "", fmt.Errorf("%s is not a JSON string", s[:end+1])
	}
	return field, s[end+1:], nil
}

// quoteSegment writes a field's name as a segment of a path, in quotes where it needs them.
func quoteSegment(name string) string {
	if name != "" && !strings.HasPrefix(name, "$") && !strings.ContainsAny(name, ".[]()*+\"\\ \t") && isPrintable(name) {
		return name
	}
	quoted, err := json.Marshal(name)
	if err != nil {
		return name // strings always marshal
	}
	return string(quoted)
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
