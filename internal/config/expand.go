package config

import (
	"errors"
	"fmt"
	"strings"
)

// expand replaces ${VAR}, ${VAR:-default} (when unset or empty) and ${VAR:?message}; $$ is a dollar sign. A dollar sign
// before anything else stands for itself.
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
				return "", errors.New("${ without }")
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

func variable(expr string, lookup func(string) (string, bool)) (string, error) {
	name, rest, special := strings.Cut(expr, ":")
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "", fmt.Errorf("${%s} is not a variable: write ${NAME}, ${NAME:-default} or ${NAME:?message}", expr)
	}
	v, set := lookup(name)
	switch {
	case !special && !set:
		return "", fmt.Errorf("variable %s is not set; set it, or give a default: ${%s:-…}", name, name)
	case !special:
		return v, nil
	case strings.HasPrefix(rest, "-"):
		if v == "" {
			return rest[1:], nil
		}
		return v, nil
	case strings.HasPrefix(rest, "?"):
		if v == "" {
			return "", fmt.Errorf("variable %s is not set: %s", name, rest[1:])
		}
		return v, nil
	}
	return "", fmt.Errorf("${%s}: after the colon comes - and a default, or ? and a message", expr)
}
