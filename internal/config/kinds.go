package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sinker/internal/nearest"

	"go.yaml.in/yaml/v4"
)

// The kinds of values that several keys have. A wrong value leaves what the owner held, the default.

// errTakes says that a value is not what its kind takes; the message is made of the kind.
var errTakes = errors.New("is something else")

// readInto reads a value into dst, or reports what is wrong with it.
func (k *kind[V]) readInto(r *reader, n *yaml.Node, what string, dst *V) {
	if k.read != nil {
		k.read(r, n, what, dst)
		return
	}
	s, ok := r.scalar(n, what)
	if !ok {
		return
	}
	v, err := k.parse(s)
	switch {
	case err == nil:
		*dst = v
	case !errors.Is(err, errTakes):
		r.problem(n, "%s %v", what, err)
	case slices.Contains(k.later, s):
		r.problem(n, "%s %s is not supported by this version of sinker; %s", what, r.quoted(n), k.instead)
	default:
		near := ""
		if c := nearest.Name(s, k.names); c != "" {
			near = fmt.Sprintf("; did you mean %q?", c)
		}
		r.problem(n, "%s must be %s%s, not %s%s", what, k.takes, k.such, r.quoted(n), near)
	}
}

// node shows a value as the file would have it; nil: as if the key was not given.
func (k *kind[V]) node(v V) *yaml.Node {
	if k.show != nil {
		return k.show(v)
	}
	switch text := k.text(v); {
	case text == "":
		return nil
	case k.plain:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	default:
		return textNode(escape(text))
	}
}

// word is any text.
func word(takes string) kind[string] {
	return kind[string]{
		shape: shape{kind: "text", takes: takes, schema: object{{"type", "string"}}, lines: showScalar},
		parse: func(s string) (string, error) { return s, nil },
		text:  func(s string) string { return s },
	}
}

// secret is text that is shown nowhere.
func secret(takes string) kind[Secret] {
	return kind[Secret]{
		shape: shape{kind: "secret", takes: takes, schema: object{{"type", "string"}}, secret: true},
		parse: func(s string) (Secret, error) { return Secret(s), nil },
		text:  func(s Secret) string { return s.String() },
	}
}

// connectionURL is Postgres' URL, or keywords, whose passwords are shown nowhere.
func connectionURL() kind[Secret] {
	return kind[Secret]{
		shape: shape{kind: "url", takes: urlForm, schema: object{{"type", "string"}}, secret: true},
		parse: func(s string) (Secret, error) {
			if problem := badURL(s); problem != "" {
				return "", errors.New(problem)
			}
			return Secret(s), nil
		},
		text: func(s Secret) string { return RedactURL(s.Reveal()) },
	}
}

// matching is text with a check of its own, which returns what is wrong with it.
func matching(takes string, check func(string) bool) kind[string] {
	k := word(takes)
	k.kind = "checked text"
	k.parse = func(s string) (string, error) {
		if !check(s) {
			return "", errTakes
		}
		return s, nil
	}
	return k
}

// oneOf is one of the names.
func oneOf(names ...string) kind[string] {
	k := matching(either(names), func(s string) bool { return slices.Contains(names, s) })
	k.kind, k.names, k.schema = "one of", names, object{{"enum", names}}
	return k
}

// not refuses names as not supported yet, and says what is.
func (s shape) not(instead string, later ...string) shape {
	s.later, s.instead = later, instead
	return s
}

func either(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// yes is yes or no.
func yes() kind[bool] {
	return kind[bool]{
		shape: shape{kind: "yes", takes: "yes or no", schema: ref("yes"), lines: showScalar},
		plain: true,
		parse: func(s string) (bool, error) {
			switch strings.ToLower(s) {
			case "yes", "true", "on":
				return true, nil
			case "no", "false", "off":
				return false, nil
			}
			return false, errTakes
		},
		text: func(v bool) string { return map[bool]string{true: "yes", false: "no"}[v] },
	}
}

// number is a whole number from least to most, both above 0; 0 is one that was not given.
func number(least, most int) kind[int] {
	return kind[int]{
		shape: shape{
			kind: "number", takes: fmt.Sprintf("a whole number from %s to %s", digits(least), digits(most)),
			lines:  showScalar,
			schema: anyOf(object{{"type", "integer"}, {"minimum", least}, {"maximum", most}}, ref("variable")),
		},
		plain: true,
		parse: func(s string) (int, error) {
			v, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
			if err != nil || v < least || v > most {
				return 0, errTakes
			}
			return v, nil
		},
		text: func(v int) string {
			if v == 0 {
				return ""
			}
			return strconv.Itoa(v)
		},
	}
}

// digits writes a large number in a form that number reads: 10_000_000.
func digits(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && len(s) > 5; i -= 3 {
		s = s[:i] + "_" + s[i:]
	}
	return s
}

// duration is a duration from least to most.
func duration(least, most time.Duration) kind[time.Duration] {
	return kind[time.Duration]{
		shape: shape{
			kind: "duration", takes: "a duration from " + durationText(least) + " to " + durationText(most),
			such: ", such as 500ms, 2s or 1m30s", schema: ref("duration"), lines: showScalar,
		},
		plain: true,
		parse: func(s string) (time.Duration, error) {
			d, err := time.ParseDuration(s) // it takes 0 without a unit
			if err != nil || d < least || d > most {
				return 0, errTakes
			}
			return d, nil
		},
		text:  durationText,
		canon: func(d time.Duration) string { return strconv.FormatInt(int64(d), 10) },
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
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

// size is a size of up to 1 GiB; 0 is one that was not given.
func size() kind[int64] {
	return kind[int64]{
		shape: shape{
			kind: "size", takes: "a size from 1B to 1GiB", such: ", such as 32MiB or 500KB", lines: showScalar,
			schema: anyOf(object{{"type", "integer"}, {"minimum", 1}},
				object{{"type", "string"}, {"pattern", "^[0-9]+ *([KMG]iB|[kKMG]?B)?$"}}, ref("variable")),
		},
		plain: true,
		parse: parseSize,
		text: func(v int64) string {
			if v == 0 {
				return ""
			}
			return sizeText(v)
		},
		canon: func(v int64) string { return strconv.FormatInt(v, 10) },
	}
}

func parseSize(s string) (int64, error) {
	for _, u := range units {
		digits, found := strings.CutSuffix(s, u.name)
		if !found {
			continue
		}
		v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || v <= 0 || v > (1<<30)/u.bytes {
			break
		}
		return v * u.bytes, nil
	}
	return 0, errTakes
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

// share is a percentage or a fraction; 0 is one that was not given. A plain 1 could be meant either way and is
// refused.
func share() kind[float64] {
	return kind[float64]{
		shape: shape{
			kind: "share", takes: "a share such as 1% or 0.01", lines: showScalar,
			schema: anyOf(object{{"type", "number"}, {"minimum", 0}, {"maximum", 0.999999}},
				object{{"type", "string"}, {"pattern", "^[0-9.]+%?$"}}, ref("variable")),
		},
		plain: true,
		parse: parseShare,
		text: func(v float64) string {
			if v == 0 {
				return ""
			}
			percent := strconv.FormatFloat(v*100, 'g', 12, 64) + "%"
			if again, err := parseShare(percent); err == nil && again == v {
				return percent
			}
			return strconv.FormatFloat(v, 'g', -1, 64)
		},
		canon: func(v float64) string {
			if v == 0 {
				return ""
			}
			return strconv.FormatFloat(v, 'g', -1, 64)
		},
	}
}

// decimal is a number without an exponent.
var decimal = regexp.MustCompile(`^[0-9.]{1,40}$`)

// parseShare is exact until the last step, so that 0.3% and 0.003 are the same number.
func parseShare(s string) (float64, error) {
	digits, percent := strings.CutSuffix(s, "%")
	digits = strings.TrimSpace(digits)
	v, err := strconv.ParseFloat(digits, 64)
	most := 0.999999
	if percent {
		v, most = v/100, 1
	}
	if err != nil || !(v >= 0 && v <= most) {
		return 0, errTakes
	}
	if percent && decimal.MatchString(digits) {
		if exact, ok := new(big.Rat).SetString(digits); ok {
			v, _ = exact.Quo(exact, big.NewRat(100, 1)).Float64()
		}
	}
	return v, nil
}

// listNode shows a list; nil: as if the key was not given.
func listNode(values []string) *yaml.Node {
	if len(values) == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range values {
		n.Content = append(n.Content, textNode(escape(v)))
	}
	return n
}

// setText is equal for lists of the same values in whatever order.
func setText(values []string) string {
	if len(values) == 0 {
		return ""
	}
	text, err := json.Marshal(slices.Sorted(slices.Values(values)))
	if err != nil {
		return strings.Join(values, ",") // strings always marshal
	}
	return string(text)
}
