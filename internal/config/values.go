package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// The readers of one value each. A wrong value leaves what dst held, the default.

func (r *reader) text(dst *string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if s, ok := r.scalar(n, what); ok {
			*dst = s
		}
	}
}

func (r *reader) secret(dst *Secret, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if s, ok := r.scalar(n, what); ok {
			*dst = Secret(s)
		}
	}
}

func (r *reader) oneOf(dst *string, what string, allowed ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		if !slices.Contains(allowed, s) {
			near := ""
			if c := Nearest(s, allowed); c != "" {
				near = fmt.Sprintf("; did you mean %q?", c)
			}
			r.problem(n, "%s must be %s, not %s%s", what, either(allowed), r.quoted(n), near)
			return
		}
		*dst = s
	}
}

func either(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func (r *reader) boolean(dst *bool, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		switch strings.ToLower(s) {
		case "yes", "true", "on":
			*dst = true
		case "no", "false", "off":
			*dst = false
		default:
			if ok {
				r.problem(n, "%s must be yes or no, not %s", what, r.quoted(n))
			}
		}
	}
}

func (r *reader) number(dst *int, what string, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		v, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
		if err != nil || v < least || v > most {
			r.problem(n, "%s must be a whole number from %d to %d, not %s", what, least, most, r.quoted(n))
			return
		}
		*dst = v
	}
}

func (r *reader) duration(dst *time.Duration, what string, least, most time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		d, err := time.ParseDuration(s) // it takes 0 without a unit
		if err != nil || d < least || d > most {
			r.problem(n, "%s must be a duration from %s to %s, such as 500ms, 2s or 1m30s, not %s", what, durationText(least), durationText(most), r.quoted(n))
			return
		}
		*dst = d
	}
}

// durationText writes 1h0m0s as 1h.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

// bytes reads a size of up to 1 GiB.
func (r *reader) bytes(dst *int64, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		for _, u := range units {
			digits, found := strings.CutSuffix(s, u.name)
			if !found {
				continue
			}
			v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
			if err == nil && v > 0 && v <= (1<<30)/u.bytes {
				*dst = v * u.bytes
				return
			}
			break
		}
		r.problem(n, "%s must be a size from 1B to 1GiB, such as 32MiB or 500KB, not %s", what, r.quoted(n))
	}
}

// sizeText writes a size in the largest unit that is exact.
func sizeText(v int64) string {
	for _, u := range []string{"GiB", "MiB", "KiB"} {
		for _, known := range units {
			if known.name == u && v%known.bytes == 0 {
				return strconv.FormatInt(v/known.bytes, 10) + u
			}
		}
	}
	return strconv.FormatInt(v, 10) + "B"
}

// share reads a percentage or a fraction. A plain 1 could be meant either way and is refused.
func (r *reader) share(dst *float64, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		digits, percent := strings.CutSuffix(s, "%")
		v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		most := 0.999999
		if percent {
			v, most = v/100, 1
		}
		if err != nil || !(v >= 0 && v <= most) {
			r.problem(n, "%s must be a share such as 1%% or 0.01, not %s", what, r.quoted(n))
			return
		}
		*dst = v
	}
}
