package config

import (
	"errors"
	"fmt"
	"strings"
)

// expand replaces ${VAR}, ${VAR:-default} (when unset or empty) and ${VAR:?message}; $$ is a dollar sign. A dollar
// sign before anything else stands for itself.
func expand(s string, lookup func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i == len(s)-1 {
			b.WriteString(s)
			return b.String(), nil
		}
		b.WriteString(s[:i])
		s = s[i:]
		switch s[1] {
		case '$':
			b.WriteByte('$')
			s = s[2:]
		case '{':
			end := strings.IndexByte(s, '}')
			if end < 0 {
				return "", errors.New("${ without }; a dollar sign itself is written $$")
			}
			v, err := variable(s[2:end], lookup)
			if err != nil {
				return "", err
			}
			b.WriteString(v)
			s = s[end+1:]
		default:
			b.WriteByte('$')
			s = s[1:]
		}
	}
}

// errForm does not repeat what it is about: it may be a password with a dollar sign in it.
var errForm = errors.New("a ${…} in it is not a variable: write ${NAME}, ${NAME:-default} or ${NAME:?message}; " +
	"a dollar sign itself is written $$")

func variable(expr string, lookup func(string) (string, bool)) (string, error) {
	name, rest, special := strings.Cut(expr, ":")
	if !isVariableName(name) || special && !strings.HasPrefix(rest, "-") && !strings.HasPrefix(rest, "?") {
		return "", errForm
	}
	if strings.Contains(rest, "${") {
		return "", fmt.Errorf("variable %s: a default must not contain another variable", name)
	}
	v, set := lookup(name)
	switch {
	case !special && set, v != "":
		return v, nil
	case !special:
		return "", fmt.Errorf("variable %s is not set; set it, or give a default: ${%s:-…}", name, name)
	case rest[0] == '-':
		return rest[1:], nil
	case len(rest) == 1:
		return "", fmt.Errorf("variable %s is not set, or empty", name)
	}
	return "", fmt.Errorf("variable %s is not set, or empty: %s", name, rest[1:])
}

func isVariableName(s string) bool {
	for i, c := range s {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
