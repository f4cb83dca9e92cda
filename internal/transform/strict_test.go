package transform

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"sinker/internal/pgbin"
)

// The strict decoder is the plain way to do what the encoder does: the standard library's JSON, maps, big numbers,
// regular expressions. It shares no code with the encoder. FuzzDecode holds both to the same bytes and the same
// refusals.

// errStrict is any reason to refuse a record.
var errStrict = errors.New("refused")

// strictRow encodes a record's value as the columns, which all come from fields of the value.
func strictRow(value []byte, columns []strictColumn, maxDepth int) ([]byte, error) {
	if !json.Valid(value) || strictDepth(value) > maxDepth {
		return nil, errStrict
	}
	if !isObject(value) {
		return nil, errStrict
	}
	out := binary.BigEndian.AppendUint16(nil, uint16(len(columns)))
	found := false
	for _, c := range columns {
		field, err := strictField(value, c.path)
		if err != nil {
			return nil, err
		}
		found = found || strictHas(value, c.path)
		if field == nil || string(field) == "null" {
			if c.notNull {
				return nil, errStrict
			}
			out = append(out, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		b, err := strictValue(field, c.typ)
		if err != nil {
			return nil, err
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(b))), b...)
	}
	if !found {
		return nil, errStrict
	}
	return out, nil
}

// strictHas says whether the field itself is there, null or not.
func strictHas(object []byte, path []string) bool {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		return false
	}
	field, ok := fields[path[0]]
	return ok && (len(path) == 1 || strictHas(field, path[1:]))
}

type strictColumn struct {
	path    []string
	typ     pgbin.Type
	notNull bool
}

func isObject(b []byte) bool { return bytes.TrimLeft(b, " \t\r\n")[0] == '{' }

// strictField returns the JSON text of a field, or nil when it is not there.
func strictField(object []byte, path []string) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		return nil, err
	}
	field, ok := fields[path[0]]
	switch {
	case !ok:
		return nil, nil
	case len(path) == 1 || string(field) == "null":
		return field, nil
	case field[0] != '{':
		return nil, errStrict
	}
	return strictField(field, path[1:])
}

// strictDepth is how deep objects and arrays are nested in valid JSON.
func strictDepth(b []byte) (most int) {
	depth, inText := 0, false
	for i := 0; i < len(b); i++ {
		switch {
		case inText && b[i] == '\\':
			i++
		case b[i] == '"':
			inText = !inText
		case inText:
		case b[i] == '{' || b[i] == '[':
			depth++
			most = max(most, depth)
		case b[i] == '}' || b[i] == ']':
			depth--
		}
	}
	return most
}

// strictString returns what a JSON string means, if that is text for Postgres.
func strictString(quoted []byte) (string, error) {
	if err := strictText(quoted); err != nil {
		return "", err
	}
	var s string
	err := json.Unmarshal(quoted, &s)
	return s, err
}

var escapeU = regexp.MustCompile(`\\(?:u([0-9a-fA-F]{4})|[^u])`)

// strictText refuses what Postgres cannot hold in the strings of a JSON text.
func strictText(b []byte) error {
	if !utf8.Valid(b) {
		return errStrict
	}
	escapes := escapeU.FindAllSubmatchIndex(b, -1)
	unit := func(k int) rune {
		if escapes[k][2] < 0 {
			return 'x' // an escape of one letter
		}
		n, _ := strconv.ParseUint(string(b[escapes[k][2]:escapes[k][3]]), 16, 32)
		return rune(n)
	}
	for k := 0; k < len(escapes); k++ {
		switch r := unit(k); {
		case r == 0:
			return errStrict
		case r >= 0xdc00 && r < 0xe000:
			return errStrict
		case utf16.IsSurrogate(r):
			if k+1 == len(escapes) || escapes[k+1][0] != escapes[k][1] || unit(k+1) < 0xdc00 || unit(k+1) > 0xdfff {
				return errStrict
			}
			k++
		}
	}
	return nil
}

var jsonNumber = regexp.MustCompile(`-?[0-9]+(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?`)

// strictJSON refuses what Postgres' jsonb cannot hold, and numbers that are shifted too far.
func strictJSON(b []byte) error {
	if err := strictText(b); err != nil {
		return err
	}
	outside := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).ReplaceAll(b, []byte(`""`))
	for _, m := range jsonNumber.FindAllSubmatch(outside, -1) {
		exponent := strictExponent(string(m[2]))
		whole := strings.TrimLeft(regexp.MustCompile(`[.eE].*`).ReplaceAllString(string(m[0]), ""), "-")
		if exponent > 400 || exponent < -400 || len(whole) > 131072 || len(m[1])-exponent > 16383 {
			return errStrict
		}
	}
	return nil
}

func strictExponent(s string) int {
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil && strings.HasPrefix(s, "-") {
		return -1e7
	} else if err != nil {
		return 1e7
	}
	return max(-1e7, min(1e7, n))
}

func strictValue(v []byte, t pgbin.Type) ([]byte, error) {
	isText, isNumber := v[0] == '"', v[0] == '-' || v[0] >= '0' && v[0] <= '9'
	content := ""
	if isText && t.Kind != pgbin.JSON && t.Kind != pgbin.JSONB {
		var err error
		if content, err = strictString(v); err != nil {
			return nil, err
		}
	}
	switch t.Kind {
	case pgbin.JSON:
		return v, strictJSON(v)
	case pgbin.JSONB:
		return append([]byte{1}, v...), strictJSON(v)
	case pgbin.Text, pgbin.Varchar, pgbin.Char:
		if !isText {
			content = string(v)
			if !isNumber {
				if err := strictJSON(v); err != nil {
					return nil, err
				}
			}
		}
		if n := t.Typmod - 4; t.Typmod >= 0 && utf8.RuneCountInString(content) > int(n) {
			return nil, errStrict
		}
		return []byte(content), nil
	case pgbin.Enum:
		if !isText || !slices.Contains(t.Labels, content) {
			return nil, errStrict
		}
		return []byte(content), nil
	case pgbin.Bool:
		return strictBool(string(v), content, isText)
	case pgbin.Int2:
		n, err := strictInteger(v, content, isText, isNumber, 16)
		return binary.BigEndian.AppendUint16(nil, uint16(n)), err
	case pgbin.Int4:
		n, err := strictInteger(v, content, isText, isNumber, 32)
		return binary.BigEndian.AppendUint32(nil, uint32(n)), err
	case pgbin.Int8:
		n, err := strictInteger(v, content, isText, isNumber, 64)
		return binary.BigEndian.AppendUint64(nil, uint64(n)), err
	case pgbin.Float4:
		f, err := strictFloat(v, content, isText, isNumber, 32)
		return binary.BigEndian.AppendUint32(nil, math.Float32bits(float32(f))), err
	case pgbin.Float8:
		f, err := strictFloat(v, content, isText, isNumber, 64)
		return binary.BigEndian.AppendUint64(nil, math.Float64bits(f)), err
	case pgbin.Numeric:
		if isText {
			return strictNumeric(content, t)
		} else if isNumber {
			return strictNumeric(string(v), t)
		}
	case pgbin.Array:
		return strictArray(v, t)
	}
	if !isText {
		return nil, errStrict
	}
	switch t.Kind {
	case pgbin.UUID:
		return strictUUID(content)
	case pgbin.Bytea:
		return strictBytea(content)
	case pgbin.Date, pgbin.Time, pgbin.Timestamp, pgbin.TimestampTZ:
		return strictMoment(strings.Trim(content, " \t\n\v\f\r"), t)
	}
	return nil, errStrict
}

func strictBool(v, content string, isText bool) ([]byte, error) {
	if isText {
		v = strings.ToLower(strings.Trim(content, " \t\n\v\f\r"))
		if strings.ContainsFunc(v, func(r rune) bool { return r > 127 }) {
			return nil, errStrict
		}
	}
	yes, no := []string{"true", "1"}, []string{"false", "0"}
	if isText {
		yes = []string{"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"}
		no = []string{"f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"}
	}
	switch {
	case slices.Contains(yes, v):
		return []byte{1}, nil
	case slices.Contains(no, v):
		return []byte{0}, nil
	}
	return nil, errStrict
}
