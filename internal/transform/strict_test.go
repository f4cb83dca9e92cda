package transform

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
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
	for _, c := range columns {
		field, err := strictField(value, c.path)
		if err != nil {
			return nil, err
		}
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
	return out, nil
}

type strictColumn struct {
	path    []string
	typ     Type
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

// strictText refuses what Postgres can not hold in the strings of a JSON text.
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

// strictJSON refuses what Postgres' jsonb can not hold, and numbers that are shifted too far.
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

func strictValue(v []byte, t Type) ([]byte, error) {
	isText, isNumber := v[0] == '"', v[0] == '-' || v[0] >= '0' && v[0] <= '9'
	content := ""
	if isText && t.Kind != JSON && t.Kind != JSONB {
		var err error
		if content, err = strictString(v); err != nil {
			return nil, err
		}
	}
	switch t.Kind {
	case JSON:
		return v, strictJSON(v)
	case JSONB:
		return append([]byte{1}, v...), strictJSON(v)
	case Text, Varchar, Char:
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
	case Enum:
		if !isText || !slices.Contains(t.Labels, content) {
			return nil, errStrict
		}
		return []byte(content), nil
	case Bool:
		return strictBool(string(v), content, isText)
	case Int2:
		n, err := strictInteger(v, content, isText, isNumber, 16)
		return binary.BigEndian.AppendUint16(nil, uint16(n)), err
	case Int4:
		n, err := strictInteger(v, content, isText, isNumber, 32)
		return binary.BigEndian.AppendUint32(nil, uint32(n)), err
	case Int8:
		n, err := strictInteger(v, content, isText, isNumber, 64)
		return binary.BigEndian.AppendUint64(nil, uint64(n)), err
	case Float4:
		f, err := strictFloat(v, content, isText, isNumber, 32)
		return binary.BigEndian.AppendUint32(nil, math.Float32bits(float32(f))), err
	case Float8:
		f, err := strictFloat(v, content, isText, isNumber, 64)
		return binary.BigEndian.AppendUint64(nil, math.Float64bits(f)), err
	case Numeric:
		if isText {
			return strictNumeric(content, t)
		} else if isNumber {
			return strictNumeric(string(v), t)
		}
	case Array:
		return strictArray(v, t)
	}
	if !isText {
		return nil, errStrict
	}
	switch t.Kind {
	case UUID:
		return strictUUID(content)
	case Bytea:
		return strictBytea(content)
	case Date, Time, Timestamp, TimestampTZ:
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

var (
	textInteger = regexp.MustCompile(`^[ \t-\r]*([+-]?[0-9]+)[ \t-\r]*$`)
	textNumber  = regexp.MustCompile(`^[ \t-\r]*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[ \t-\r]*$`)
	specials    = regexp.MustCompile(`(?i)^[ \t-\r]*(?:(nan)|([+-]?)inf(?:inity)?)[ \t-\r]*$`)
)

// plain writes a number without an exponent: the digits before and after the point, and how many the latter would be
// with all zeros. tooLong says that the exponent is beyond any type.
func plain(s string) (negative bool, whole, fraction string, tooLong bool) {
	negative = strings.HasPrefix(s, "-")
	s = strings.TrimLeft(s, "+-")
	mantissa, exp, _ := strings.Cut(strings.ToLower(s), "e")
	whole, fraction, _ = strings.Cut(mantissa, ".")
	exponent := strictExponent(exp)
	if exponent > 200000 || exponent < -200000 {
		return negative, whole, fraction, true
	}
	if exponent > 0 {
		fraction += strings.Repeat("0", max(0, exponent-len(fraction)))
		whole, fraction = whole+fraction[:exponent], fraction[exponent:]
	} else if exponent < 0 {
		whole = strings.Repeat("0", max(0, -exponent-len(whole))) + whole
		whole, fraction = whole[:len(whole)+exponent], whole[len(whole)+exponent:]+fraction
	}
	return negative, strings.TrimLeft(whole, "0"), fraction, false
}

func isZero(digits string) bool { return strings.Trim(digits, "0") == "" }

func strictInteger(v []byte, content string, isText, isNumber bool, bits int) (int64, error) {
	s := string(v)
	if isText {
		m := textInteger.FindStringSubmatch(content)
		if m == nil {
			return 0, errStrict
		}
		s = m[1]
	} else if !isNumber {
		return 0, errStrict
	}
	negative, whole, fraction, tooLong := plain(s)
	if tooLong {
		if isZero(whole) && isZero(fraction) {
			return 0, nil
		}
		return 0, errStrict
	}
	if !isZero(fraction) {
		return 0, errStrict
	}
	if negative {
		whole = "-" + whole
	}
	if isZero(strings.TrimPrefix(whole, "-")) {
		return 0, nil
	}
	n, err := strconv.ParseInt(whole, 10, bits)
	return n, err
}

func strictFloat(v []byte, content string, isText, isNumber bool, bits int) (float64, error) {
	s := string(v)
	if isText {
		if m := specials.FindStringSubmatch(content); m != nil {
			switch {
			case m[1] != "":
				return math.Float64frombits(0x7ff8000000000000), nil
			case m[2] == "-":
				return math.Inf(-1), nil
			}
			return math.Inf(1), nil
		}
		m := textNumber.FindStringSubmatch(content)
		if m == nil {
			return 0, errStrict
		}
		s = m[1]
	} else if !isNumber {
		return 0, errStrict
	}
	f, err := strconv.ParseFloat(s, bits)
	if err != nil {
		return 0, err
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
	if f == 0 && strings.Trim(mantissa, "+-0.") != "" {
		return 0, errStrict
	}
	return f, nil
}

func strictNumeric(s string, t Type) ([]byte, error) {
	header := func(groups, weight int, sign uint16, scale int) []byte {
		b := binary.BigEndian.AppendUint16(nil, uint16(groups))
		b = binary.BigEndian.AppendUint16(b, uint16(weight))
		b = binary.BigEndian.AppendUint16(b, sign)
		return binary.BigEndian.AppendUint16(b, uint16(scale))
	}
	if m := specials.FindStringSubmatch(s); m != nil {
		switch {
		case m[1] != "":
			return header(0, 0, 0xc000, 0), nil
		case t.Typmod >= 0:
			return nil, errStrict
		case m[2] == "-":
			return header(0, 0, 0xf000, 0), nil
		}
		return header(0, 0, 0xd000, 0), nil
	}
	m := textNumber.FindStringSubmatch(s)
	if m == nil {
		return nil, errStrict
	}
	negative, whole, fraction, tooLong := plain(m[1])
	if tooLong {
		if !isZero(whole) || !isZero(fraction) || strings.Contains(strings.ToLower(m[1]), "e-") {
			return nil, errStrict
		}
		whole, fraction = "", ""
	}
	if len(fraction) > 16383 {
		return nil, errStrict
	}
	if t.Typmod >= 0 {
		precision, scale := int(t.Typmod-4)>>16, int(t.Typmod-4)&0x7ff
		if scale > 1023 {
			scale -= 2048
		}
		if !strictFits(whole, fraction, precision, scale) {
			return nil, errStrict
		}
		scale = max(0, scale)
		fraction = (fraction + strings.Repeat("0", scale))[:scale]
	}
	if len(whole) > 131072 {
		return nil, errStrict
	}
	return strictGroups(negative, whole, fraction, header)
}

// strictFits compares with 10^(precision-scale), and with what is left of rounding to the scale.
func strictFits(whole, fraction string, precision, scale int) bool {
	if isZero(whole) && isZero(fraction) {
		return true
	}
	r, ok := new(big.Rat).SetString("0" + whole + "." + fraction + "0")
	if !ok {
		return false
	}
	power := func(n int) *big.Rat {
		p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil)
		if n < 0 {
			return new(big.Rat).SetFrac(big.NewInt(1), p)
		}
		return new(big.Rat).SetInt(p)
	}
	return r.Cmp(power(precision-scale)) < 0 && new(big.Rat).Mul(r, power(scale)).IsInt()
}

func strictGroups(negative bool, whole, fraction string, header func(groups, weight int, sign uint16, scale int) []byte) ([]byte, error) {
	scale := len(fraction)
	whole = strings.Repeat("0", (4-len(whole)%4)%4) + whole
	fraction += strings.Repeat("0", (4-len(fraction)%4)%4)
	weight := len(whole)/4 - 1
	all := whole + fraction
	for strings.HasPrefix(all, "0000") {
		all, weight = all[4:], weight-1
	}
	for strings.HasSuffix(all, "0000") {
		all = all[:len(all)-4]
	}
	if all == "" {
		return header(0, 0, 0, scale), nil
	}
	sign := uint16(0)
	if negative {
		sign = 0x4000
	}
	out := header(len(all)/4, weight, sign, scale)
	for i := 0; i < len(all); i += 4 {
		n, _ := strconv.Atoi(all[i : i+4])
		out = binary.BigEndian.AppendUint16(out, uint16(n))
	}
	return out, nil
}

var uuidForm = regexp.MustCompile(`^(?:\{((?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4})\}|((?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}))$`)

func strictUUID(s string) ([]byte, error) {
	m := uuidForm.FindStringSubmatch(s)
	if m == nil {
		return nil, errStrict
	}
	return hex.DecodeString(strings.ReplaceAll(m[1]+m[2], "-", ""))
}

func strictBytea(s string) ([]byte, error) {
	if digits, ok := strings.CutPrefix(s, `\x`); ok {
		return hex.DecodeString(digits)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9+/]*=*$`).MatchString(s) {
		return nil, errStrict
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err == nil && base64.StdEncoding.EncodeToString(b) != s {
		return nil, errStrict
	}
	return b, err
}

var momentForm = regexp.MustCompile(`^(?:([0-9]{4,7})-([0-9]{2})-([0-9]{2}))?([Tt ])?(?:([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?)?( ?)([Zz]|[+-][0-9]{2}(?::?[0-9]{2}|:[0-9]{2}:[0-9]{2})?)?( [bB][cC])?$`)

func strictMoment(s string, t Type) ([]byte, error) {
	sign := 0
	switch strings.ToLower(s) {
	case "infinity", "+infinity":
		sign = 1
	case "-infinity":
		sign = -1
	}
	if sign != 0 && t.Kind != Time {
		limits := map[bool][2]int64{true: {math.MinInt32, math.MaxInt32}, false: {math.MinInt64, math.MaxInt64}}[t.Kind == Date]
		n := limits[(sign+1)/2]
		if t.Kind == Date {
			return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
		}
		return binary.BigEndian.AppendUint64(nil, uint64(n)), nil
	}
	m := momentForm.FindStringSubmatch(s)
	if m == nil {
		return nil, errStrict
	}
	hasDate, hasTime, hasZone, hasEra := m[1] != "", m[5] != "", m[10] != "", m[11] != ""
	if hasDate != (t.Kind != Time) || hasTime != (t.Kind != Date) || (m[4] != "") != (hasDate && hasTime) ||
		hasZone && t.Kind != Timestamp && t.Kind != TimestampTZ || !hasZone && t.Kind == TimestampTZ || m[9] != "" && !hasZone || hasEra && !hasDate {
		return nil, errStrict
	}
	num := func(i int) int { n, _ := strconv.Atoi(m[i]); return n }
	fraction := strings.TrimRight(m[8], "0")
	digits := 6
	if t.Typmod >= 0 && t.Typmod < 6 {
		digits = int(t.Typmod)
	}
	if num(5) > 24 || num(6) > 59 || num(7) > 59 || num(5) == 24 && (num(6) > 0 || num(7) > 0 || fraction != "") || len(fraction) > digits {
		return nil, errStrict
	}
	micros, _ := strconv.Atoi((fraction + "000000")[:6])
	ofDay := int64(num(5)*3600+num(6)*60+num(7))*1e6 + int64(micros)
	if t.Kind == Time {
		return binary.BigEndian.AppendUint64(nil, uint64(ofDay)), nil
	}
	year := num(1)
	if year == 0 {
		return nil, errStrict
	}
	if hasEra {
		year = 1 - year
	}
	date := time.Date(year, time.Month(num(2)), num(3), 0, 0, 0, 0, time.UTC)
	if num(2) < 1 || num(2) > 12 || num(3) < 1 || date.Day() != num(3) {
		return nil, errStrict
	}
	days := (date.Unix() - time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()) / 86400
	if t.Kind == Date {
		if days < -2451545 || days > 2145031948 {
			return nil, errStrict
		}
		return binary.BigEndian.AppendUint32(nil, uint32(days)), nil
	}
	offset, err := strictOffset(m[10])
	if err != nil || offset != 0 && t.Kind == Timestamp {
		return nil, errStrict
	}
	total := new(big.Int).Mul(big.NewInt(days), big.NewInt(86400e6))
	total.Add(total, big.NewInt(ofDay-offset*1e6))
	if total.Cmp(big.NewInt(-211813488000000000)) < 0 || total.Cmp(big.NewInt(9223371331200000000)) >= 0 {
		return nil, errStrict
	}
	return binary.BigEndian.AppendUint64(nil, uint64(total.Int64())), nil
}

func strictOffset(zone string) (seconds int64, err error) {
	if zone == "" || strings.EqualFold(zone, "z") {
		return 0, nil
	}
	digits := strings.ReplaceAll(zone[1:], ":", "") + "0000"
	h, _ := strconv.Atoi(digits[:2])
	m, _ := strconv.Atoi(digits[2:4])
	s, _ := strconv.Atoi(digits[4:6])
	if h > 15 || m > 59 || s > 59 {
		return 0, errStrict
	}
	seconds = int64(h*3600 + m*60 + s)
	if zone[0] == '-' {
		seconds = -seconds
	}
	return seconds, nil
}

// strictArray writes arrays of one dimension or more as nested lists of equal lengths.
func strictArray(v []byte, t Type) ([]byte, error) {
	if v[0] != '[' {
		return nil, errStrict
	}
	whole := t.Elem.Kind == JSON || t.Elem.Kind == JSONB
	var dims []int
	for at := v; at[0] == '['; {
		var list []json.RawMessage
		if err := json.Unmarshal(at, &list); err != nil {
			return nil, err
		}
		dims = append(dims, len(list))
		if len(list) == 0 || whole {
			break
		}
		at = list[0]
	}
	if len(dims) > 6 || len(dims) > 1 && slices.Contains(dims, 0) {
		return nil, errStrict
	}
	var body []byte
	hasNull := uint32(0)
	var walk func(v []byte, dim int) error
	walk = func(v []byte, dim int) error {
		if dim < len(dims) {
			var list []json.RawMessage
			if v[0] != '[' || json.Unmarshal(v, &list) != nil || len(list) != dims[dim] {
				return errStrict
			}
			for _, e := range list {
				if err := walk(e, dim+1); err != nil {
					return err
				}
			}
			return nil
		}
		switch {
		case string(v) == "null":
			hasNull = 1
			body = append(body, 0xff, 0xff, 0xff, 0xff)
			return nil
		case v[0] == '[' && !whole:
			return errStrict
		}
		b, err := strictValue(v, *t.Elem)
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(b))), b...)
		return err
	}
	if err := walk(v, 0); err != nil {
		return nil, err
	}
	if dims[0] == 0 {
		dims = nil
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(len(dims)))
	out = binary.BigEndian.AppendUint32(out, hasNull)
	out = binary.BigEndian.AppendUint32(out, t.Elem.OID)
	for _, d := range dims {
		out = binary.BigEndian.AppendUint32(out, uint32(d))
		out = binary.BigEndian.AppendUint32(out, 1)
	}
	return append(out, body...), nil
}
