package pgbin

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"sinker/internal/record"
	"sinker/internal/value"
)

// style is whose text of a value is meant: that of a cast to text in Postgres, or that of to_jsonb.
type style bool

const (
	plainText style = false
	jsonText  style = true
)

// render appends the text of a value that is neither a Text nor a JSON text, as Postgres writes it in UTC.
func render(dst []byte, v *value.Value, enc *Encoding, s style) ([]byte, *record.BadRecord) {
	out, code := appendShown(dst, v, s)
	switch code {
	case "":
		return out, nil
	case record.CodeOutOfRange:
		return dst, outOfRange(v, enc)
	}
	return dst, wrongType(v, enc)
}

// appendShown is render with a code instead of a BadRecord, whose text it helps to make.
func appendShown(dst []byte, v *value.Value, s style) (out []byte, code string) {
	switch v.Kind {
	case value.True:
		return append(dst, "true"...), ""
	case value.False:
		return append(dst, "false"...), ""
	case value.Number, value.Decimal, value.Float:
		var buf digitBuf
		return append(dst, literal(v, &buf)...), ""
	case value.Bytes:
		if s == jsonText {
			dst = append(dst, '\\')
		}
		return hex.AppendEncode(append(dst, '\\', 'x'), v.B), ""
	case value.Date:
		return appendDay(dst, v)
	case value.Time:
		return appendTimeOfDay(dst, v)
	case value.Timestamp:
		return appendTimestampText(dst, v, s)
	case value.Duration:
		return appendDuration(dst, v)
	}
	return dst, record.CodeWrongType
}

// glimpse shows a value in a message.
func glimpse(v *value.Value) string {
	switch v.Kind {
	case value.Text, value.Bytes, value.Object, value.List, value.JSON:
		return record.Glimpse(v.B)
	}
	if shown, code := appendShown(nil, v, plainText); code == "" {
		return record.Glimpse(shown)
	}
	return strconv.Quote(fmt.Sprintf("%d / 10^%d", v.Num, v.Scale))
}

func appendDay(dst []byte, v *value.Value) (out []byte, code string) {
	if v.Num < firstDay+epochDays || v.Num > lastDay+epochDays {
		return dst, record.CodeOutOfRange
	}
	dst, bc := appendCalendar(dst, v.Num-epochDays)
	return appendEra(dst, bc), ""
}

// appendCalendar writes a day, counted from 2000-01-01, without its era.
func appendCalendar(dst []byte, day int64) (out []byte, beforeChrist bool) {
	year, month, dayOfMonth := dateOf(day)
	if year <= 0 {
		year, beforeChrist = 1-year, true
	}
	dst = appendPadded(dst, year, 4)
	dst = appendPadded(append(dst, '-'), month, 2)
	return appendPadded(append(dst, '-'), dayOfMonth, 2), beforeChrist
}

func appendEra(dst []byte, beforeChrist bool) []byte {
	if beforeChrist {
		return append(dst, " BC"...)
	}
	return dst
}

// dateOf is the opposite of daysOf. It counts in cycles of 400 years, from the first of March of the year 0.
func dateOf(day int64) (year, month, dayOfMonth int64) {
	const cycle = 146_097
	day += 730_425
	cycles := floorDiv(day, cycle)
	day -= cycles * cycle
	year = (day - day/1460 + day/36_524 - day/(cycle-1)) / 365
	day -= 365*year + year/4 - year/100
	month = (5*day + 2) / 153
	dayOfMonth = day - (153*month+2)/5 + 1
	year += 400 * cycles
	if month += 3; month > 12 {
		return year + 1, month - 12, dayOfMonth
	}
	return year, month, dayOfMonth
}

// secondsOf are the whole seconds of a Time, Timestamp or Duration, rounded down, and the rest in its own unit.
func secondsOf(v *value.Value) (whole, fraction int64) {
	unit := int64(tens[v.Scale])
	whole = floorDiv(v.Num, unit)
	return whole, v.Num - whole*unit
}

func appendTimeOfDay(dst []byte, v *value.Value) (out []byte, code string) {
	whole, fraction := secondsOf(v)
	if whole < 0 || whole > 86400 || whole == 86400 && fraction > 0 {
		return dst, record.CodeOutOfRange
	}
	return appendSeconds(dst, whole, fraction, v.Scale), ""
}

func appendTimestampText(dst []byte, v *value.Value, s style) (out []byte, code string) {
	whole, fraction := secondsOf(v)
	if whole < firstTimestamp/secondMicros+epochSeconds || whole >= endTimestamp/secondMicros+epochSeconds {
		return dst, record.CodeOutOfRange
	}
	day := floorDiv(whole, 86400)
	dst, bc := appendCalendar(dst, day-epochDays)
	between, zone := byte(' '), "+00"
	if s == jsonText {
		between, zone = 'T', "+00:00"
	}
	dst = appendSeconds(append(dst, between), whole-day*86400, fraction, v.Scale)
	if v.Flags&value.Local == 0 {
		dst = append(dst, zone...)
	}
	return appendEra(dst, bc), ""
}

// appendSeconds writes seconds as hours, minutes and seconds, with what is not zero of their fraction.
func appendSeconds(dst []byte, seconds, fraction int64, scale int16) []byte {
	dst = appendPadded(dst, seconds/3600, 2)
	dst = appendPadded(append(dst, ':'), seconds/60%60, 2)
	dst = appendPadded(append(dst, ':'), seconds%60, 2)
	if fraction == 0 {
		return dst
	}
	for fraction%10 == 0 {
		fraction, scale = fraction/10, scale-1
	}
	return appendPadded(append(dst, '.'), fraction, int(scale))
}

// appendDuration writes an interval in Postgres' own style: 1 year 2 mons -3 days +04:05:06.7.
func appendDuration(dst []byte, v *value.Value) (out []byte, code string) {
	unit := int64(tens[v.Scale])
	whole, fraction := v.Num/unit, v.Num%unit
	if whole > math.MaxInt64/secondMicros || whole < math.MinInt64/secondMicros {
		return dst, record.CodeOutOfRange
	}
	months, days := v.MonthsDays()
	at := len(dst)
	dst, minus := appendPart(dst, at, false, int64(months/12), "year")
	dst, minus = appendPart(dst, at, minus, int64(months%12), "mon")
	dst, minus = appendPart(dst, at, minus, int64(days), "day")
	if len(dst) > at {
		if v.Num == 0 {
			return dst, ""
		}
		dst = append(dst, ' ')
	}
	switch {
	case v.Num < 0:
		dst, whole, fraction = append(dst, '-'), -whole, -fraction
	case minus:
		dst = append(dst, '+')
	}
	return appendSeconds(dst, whole, fraction, v.Scale), ""
}

// appendPart writes a part of an interval that began at a place in dst. After a part with a minus a plus is written
// out.
func appendPart(dst []byte, at int, minus bool, n int64, unit string) ([]byte, bool) {
	if n == 0 {
		return dst, minus
	}
	if len(dst) > at {
		dst = append(dst, ' ')
	}
	if minus && n > 0 {
		dst = append(dst, '+')
	}
	dst = append(append(strconv.AppendInt(dst, n, 10), ' '), unit...)
	if n != 1 {
		dst = append(dst, 's')
	}
	return dst, n < 0
}

// appendPadded writes a number that is not negative, with zeros before it up to a width.
func appendPadded(dst []byte, n int64, width int) []byte {
	for limit := int64(10); width > 1; width, limit = width-1, limit*10 {
		if n < limit {
			for ; width > 1; width-- {
				dst = append(dst, '0')
			}
			break
		}
	}
	return strconv.AppendInt(dst, n, 10)
}
