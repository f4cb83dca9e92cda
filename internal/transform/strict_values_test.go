package transform

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sinker/internal/pgbin"
)

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

func strictNumeric(s string, t pgbin.Type) ([]byte, error) {
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

func strictMoment(s string, t pgbin.Type) ([]byte, error) {
	sign := 0
	switch strings.ToLower(s) {
	case "infinity", "+infinity":
		sign = 1
	case "-infinity":
		sign = -1
	}
	if sign != 0 && t.Kind != pgbin.Time {
		limits := map[bool][2]int64{true: {math.MinInt32, math.MaxInt32}, false: {math.MinInt64, math.MaxInt64}}[t.Kind == pgbin.Date]
		n := limits[(sign+1)/2]
		if t.Kind == pgbin.Date {
			return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
		}
		return binary.BigEndian.AppendUint64(nil, uint64(n)), nil
	}
	m := momentForm.FindStringSubmatch(s)
	if m == nil {
		return nil, errStrict
	}
	hasDate, hasTime, hasZone, hasEra := m[1] != "", m[5] != "", m[10] != "", m[11] != ""
	if hasDate != (t.Kind != pgbin.Time) || hasTime != (t.Kind != pgbin.Date) || (m[4] != "") != (hasDate && hasTime) ||
		hasZone && t.Kind != pgbin.Timestamp && t.Kind != pgbin.TimestampTZ || !hasZone && t.Kind == pgbin.TimestampTZ || m[9] != "" && !hasZone || hasEra && !hasDate {
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
	if t.Kind == pgbin.Time {
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
	if t.Kind == pgbin.Date {
		if days < -2451545 || days > 2145031948 {
			return nil, errStrict
		}
		return binary.BigEndian.AppendUint32(nil, uint32(days)), nil
	}
	offset, err := strictOffset(m[10])
	if err != nil || offset != 0 && t.Kind == pgbin.Timestamp {
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
func strictArray(v []byte, t pgbin.Type) ([]byte, error) {
	if v[0] != '[' {
		return nil, errStrict
	}
	whole := t.Elem.Kind == pgbin.JSON || t.Elem.Kind == pgbin.JSONB
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
