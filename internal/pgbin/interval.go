package pgbin

import (
	"encoding/binary"
	"math"

	"sinker/internal/record"
	"sinker/internal/value"
)

const formInterval = "an interval as P1DT2H3M4.5S or 1 day 02:03:04.5"

// span is an interval in Postgres' three parts, which do not convert into one another.
type span struct {
	months, days, micros int64
	seen                 uint16 // units that were given, by their bit
	problem              string // a code: what was read is an interval, but not one that can be held
}

// unit is what one of a quantity is; one of the three parts is not zero.
type unit struct {
	bit                  uint16
	months, days, micros int64
}

var (
	microsecond = unit{bit: 1 << 0, micros: 1}
	millisecond = unit{bit: 1 << 1, micros: 1000}
	second      = unit{bit: 1 << 2, micros: secondMicros}
	minute      = unit{bit: 1 << 3, micros: minuteMicros}
	hour        = unit{bit: 1 << 4, micros: hourMicros}
	day         = unit{bit: 1 << 5, days: 1}
	week        = unit{bit: 1 << 6, days: 7}
	month       = unit{bit: 1 << 7, months: 1}
	year        = unit{bit: 1 << 8, months: 12}
)

// unitNames are those of Postgres that are not easily mistaken.
var unitNames = map[string]unit{
	"microsecond": microsecond, "microseconds": microsecond, "us": microsecond,
	"millisecond": millisecond, "milliseconds": millisecond, "ms": millisecond,
	"second": second, "seconds": second, "sec": second, "secs": second, "s": second,
	"minute": minute, "minutes": minute, "min": minute, "mins": minute,
	"hour": hour, "hours": hour, "hr": hour, "hrs": hour, "h": hour,
	"day": day, "days": day, "d": day,
	"week": week, "weeks": week, "w": week,
	"month": month, "months": month, "mon": month, "mons": month,
	"year": year, "years": year, "yr": year, "yrs": year, "y": year,
}

// The letters of ISO 8601, in the order in which they must stand.
var (
	isoDate = []struct {
		letter byte
		unit   unit
	}{{'Y', year}, {'M', month}, {'W', week}, {'D', day}}
	isoTime = []struct {
		letter byte
		unit   unit
	}{{'H', hour}, {'M', minute}, {'S', second}}
)

func appendInterval(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	p, err := spanOf(v, enc)
	switch {
	case err != nil:
		return dst, err
	case !enc.holdsFraction(p.micros):
		return dst, finerThan(v, enc)
	}
	dst = append(dst, 0, 0, 0, 16)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.micros))
	dst = appendInt32(dst, int32(p.days))
	return appendInt32(dst, int32(p.months)), nil
}

// spanOf reads a Duration or a text.
func spanOf(v *value.Value, enc *Encoding) (p span, err *record.BadRecord) {
	if v.Kind == value.Duration {
		months, days := v.MonthsDays()
		p.months, p.days = int64(months), int64(days)
		p.micros, err = microsOf(v, enc)
		return p, err
	}
	s, err := timeText(v, enc, formInterval)
	if err != nil {
		return p, err
	}
	var ok bool
	if len(s) > 0 && s[0] == 'P' {
		ok = p.readISO(s[1:])
	} else {
		ok = p.readWords(s)
	}
	if p.days != int64(int32(p.days)) || p.months != int64(int32(p.months)) {
		p.problem = record.CodeOutOfRange
	}
	switch {
	case !ok:
		return p, invalid(s, enc, formInterval)
	case p.problem == record.CodeOutOfRange:
		return p, outOfRange(v, enc)
	case p.problem == record.CodeInexact:
		return p, inexact(v, enc, digitsText(enc.fraction)+" of a second, and months and days whole")
	}
	return p, nil
}

// readISO reads what follows the P of an ISO 8601 duration: P1Y2M3W4DT5H6M7.5S, any part left out. Each part may have
// its own sign, as Postgres writes it.
func (p *span) readISO(b []byte) bool {
	letters, inTime := isoDate, false
	for len(b) > 0 {
		if b[0] == 'T' && !inTime && len(b) > 1 {
			letters, inTime, b = isoTime, true, b[1:]
			continue
		}
		q, rest, ok := readQuantity(b)
		if !ok || len(rest) == 0 {
			return false
		}
		i := 0
		for i < len(letters) && letters[i].letter != rest[0] {
			i++
		}
		if i == len(letters) || !p.add(q, letters[i].unit) {
			return false
		}
		letters, b = letters[i+1:], rest[1:]
	}
	return p.seen != 0
}

// readWords reads Postgres' own form: quantities with units, a time, and at the end perhaps ago, which turns all
// around.
func (p *span) readWords(b []byte) bool {
	for b = trimSpace(b); len(b) > 0; b = trimSpace(b) {
		if equalFold(b, "ago") && p.seen != 0 {
			p.micros, p.days, p.months = -p.micros, -p.days, -p.months
			return true
		}
		if rest, ok := p.readClock(b); ok {
			b = rest
			continue
		}
		q, rest, ok := readQuantity(b)
		if !ok {
			return false
		}
		rest = trimSpace(rest)
		n := 0
		var word [16]byte
		for n < len(rest) && n < len(word) && rest[n]|0x20-'a' < 26 {
			word[n] = rest[n] | 0x20
			n++
		}
		u, known := unitNames[string(word[:n])]
		if !known || !p.add(q, u) {
			return false
		}
		b = rest[n:]
	}
	return p.seen != 0
}

// readClock reads HH:MM or HH:MM:SS with or without a fraction, with any number of hours, up to a space or the end.
func (p *span) readClock(b []byte) (rest []byte, ok bool) {
	end := 0
	for end < len(b) && b[end] != ' ' {
		end++
	}
	b, rest = b[:end], b[end:]
	hours, b, ok := readQuantity(b)
	if !ok || hours.places > 0 || len(b) < 3 || b[0] != ':' || two(b, 1) > 59 {
		return nil, false
	}
	minutes := quantity{negative: hours.negative, whole: two(b, 1)}
	seconds := quantity{negative: hours.negative}
	if b = b[3:]; len(b) > 0 {
		if len(b) < 3 || b[0] != ':' || b[1]-'0' > 9 || b[2]-'0' > 9 {
			return nil, false
		}
		if seconds, b, ok = readQuantity(b[1:]); !ok || len(b) > 0 || seconds.whole > 59 {
			return nil, false
		}
		seconds.negative = hours.negative
	}
	return rest, p.add(hours, hour) && p.add(minutes, minute) && p.add(seconds, second)
}

// quantity is a number before a unit: whole + fraction / 10^places.
type quantity struct {
	negative        bool
	whole, fraction int64
	places          int // the last of them not a zero
}

// readQuantity reads a sign, digits, and perhaps a point and more digits.
func readQuantity(b []byte) (q quantity, rest []byte, ok bool) {
	i := 0
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		q.negative = b[0] == '-'
		i++
	}
	whole, i := digits(b, i)
	if len(whole) == 0 || len(whole) > value.ExactDigits {
		return q, b, false
	}
	for _, c := range whole {
		q.whole = q.whole*10 + int64(c-'0')
	}
	if i < len(b) && b[i] == '.' {
		var fraction []byte
		if fraction, i = digits(b, i+1); len(fraction) == 0 {
			return q, b, false
		}
		for len(fraction) > 0 && fraction[len(fraction)-1] == '0' {
			fraction = fraction[:len(fraction)-1]
		}
		q.places = len(fraction)
		for _, c := range fraction[:min(len(fraction), value.ExactDigits)] {
			q.fraction = q.fraction*10 + int64(c-'0')
		}
	}
	return q, b[i:], true
}

// add adds a quantity of a unit. It reports false when the unit was there already.
func (p *span) add(q quantity, u unit) bool {
	if p.seen&u.bit != 0 {
		return false
	}
	p.seen |= u.bit
	size := u.months + u.days + u.micros
	if q.whole > math.MaxInt64/size {
		p.problem = record.CodeOutOfRange
		return true
	}
	n := q.whole * size
	switch {
	case q.places == 0:
	case u.micros == 0 || q.places > 9 || q.fraction*size%int64(tens[q.places]) != 0:
		p.problem = record.CodeInexact
	default:
		n += q.fraction * size / int64(tens[q.places])
	}
	if n < 0 {
		p.problem = record.CodeOutOfRange
	}
	if q.negative {
		n = -n
	}
	part := &p.micros
	if u.months != 0 {
		part = &p.months
	} else if u.days != 0 {
		part = &p.days
	}
	sum := *part + n
	if n > 0 && sum < *part || n < 0 && sum > *part {
		p.problem = record.CodeOutOfRange
	}
	*part = sum
	return true
}
