package pgbin

import (
	"encoding/binary"
	"fmt"
	"math"

	"sinker/internal/record"
	"sinker/internal/value"
)

const (
	formDate        = "a date as 2026-11-22"
	formTime        = "a time as 12:34:56.789"
	formTimestamp   = "a time as 2026-11-22T12:34:56.789, without a zone or with Z"
	formTimestampTZ = "a time with its zone as 2026-11-22T12:34:56.789Z or …+01:00"
)

// timeText returns the content of a text for the types of dates and times.
func timeText(v *value.Value, enc *Encoding, form string) ([]byte, *record.BadRecord) {
	switch v.Kind {
	case value.Text:
		s, err := content(v)
		return trimSpace(s), err
	case value.Number, value.Float, value.Decimal:
		return nil, record.Bad(record.CodeWrongType,
			fmt.Sprintf("the number %s has no unit, so it is no %s; send %s, or load it as bigint", glimpse(v), enc.Of, form))
	}
	return nil, wrongType(v, enc)
}

// infinite reads infinity and -infinity.
func infinite(s []byte) int {
	if len(s) < 8 {
		return 0
	}
	if name, sign := special(s); name == "infinity" && equalFold(s[len(s)-8:], "infinity") {
		return sign
	}
	return 0
}

func appendDate(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	if v.Kind == value.Date {
		days, err := daysOfDate(v, enc)
		return appendInt32(append(dst, 0, 0, 0, 4), int32(days)), err
	}
	s, err := timeText(v, enc, formDate)
	if err != nil {
		return dst, err
	}
	var c clock
	switch infinite(s) {
	case 1:
		c.days = math.MaxInt32
	case -1:
		c.days = math.MinInt32
	default:
		if rest, ok := c.readDate(s); !ok || len(rest) > 0 {
			return dst, invalid(s, enc, formDate)
		}
		if c.days < firstDay || c.days > lastDay {
			return dst, outOfRange(v, enc)
		}
	}
	return appendInt32(append(dst, 0, 0, 0, 4), int32(c.days)), nil
}

// daysOfDate counts a Date's days from 2000-01-01.
func daysOfDate(v *value.Value, enc *Encoding) (int64, *record.BadRecord) {
	if v.Num < firstDay+epochDays || v.Num > lastDay+epochDays {
		return 0, outOfRange(v, enc)
	}
	return v.Num - epochDays, nil
}

func appendTime(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	var c clock
	if v.Kind == value.Time {
		var err *record.BadRecord
		if c.micros, err = microsOf(v, enc); err != nil {
			return dst, err
		}
		if c.micros < 0 || c.micros > dayMicros {
			return dst, outOfRange(v, enc)
		}
	} else {
		s, err := timeText(v, enc, formTime)
		if err != nil {
			return dst, err
		}
		if rest, ok := c.readTime(s); !ok || len(rest) > 0 {
			return dst, invalid(s, enc, formTime)
		}
		if c.digits > 6 {
			return dst, finerThan(v, enc)
		}
	}
	if !enc.holdsFraction(c.micros) {
		return dst, finerThan(v, enc)
	}
	dst = append(dst, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(dst, uint64(c.micros)), nil
}

// holdsFraction says whether microseconds have no more digits of a second than the type keeps.
func (enc *Encoding) holdsFraction(micros int64) bool {
	return enc.fraction >= 6 || micros%int64(tens[6-enc.fraction]) == 0
}

func finerThan(v *value.Value, enc *Encoding) *record.BadRecord {
	return inexact(v, enc, digitsText(enc.fraction)+" of a second")
}

// microsOf is the microseconds of a Time, Timestamp or Duration.
func microsOf(v *value.Value, enc *Encoding) (int64, *record.BadRecord) {
	if v.Scale > 6 {
		unit := int64(tens[v.Scale-6])
		if v.Num%unit != 0 {
			return 0, finerThan(v, enc)
		}
		return v.Num / unit, nil
	}
	unit := int64(tens[6-v.Scale])
	if v.Num > math.MaxInt64/unit || v.Num < math.MinInt64/unit {
		return 0, outOfRange(v, enc)
	}
	return v.Num * unit, nil
}

// appendTimestamp writes timestamp without time zone. A zone of Z or +00:00 is taken, because the clock's reading is
// UTC's and stays what it is; any other would be lost.
func appendTimestamp(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	switch v.Kind {
	case value.Timestamp:
		return appendInstant(dst, v, enc)
	case value.Date:
		days, err := daysOfDate(v, enc)
		if err != nil || days > lastTimestampDay {
			return dst, outOfRange(v, enc)
		}
		return appendMicros(dst, days*dayMicros, v, enc)
	}
	return appendClock(dst, v, enc, formTimestamp)
}

// appendTimestampTZ writes timestamp with time zone. What has no zone is refused: which one is meant is not known here,
// and Postgres would take its session's.
func appendTimestampTZ(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	switch {
	case v.Kind == value.Timestamp && v.Flags&value.Local == 0:
		return appendInstant(dst, v, enc)
	case v.Kind == value.Timestamp || v.Kind == value.Date:
		return dst, record.Bad(record.CodeWrongType, fmt.Sprintf("%s is %s without a time zone, and does not go into %s; "+
			"make the column timestamp", glimpse(v), v.Kind, enc.Of))
	}
	return appendClock(dst, v, enc, formTimestampTZ)
}

// appendInstant writes a Timestamp.
func appendInstant(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	from2000 := *v // first the other epoch, then microseconds: the last timestamps are no microseconds from 1970
	from2000.Num -= epochSeconds * int64(tens[v.Scale])
	if from2000.Num > v.Num {
		return dst, outOfRange(v, enc)
	}
	micros, err := microsOf(&from2000, enc)
	switch {
	case err == nil:
		return appendMicros(dst, micros, v, enc)
	case err.Code == record.CodeOutOfRange:
		return dst, outOfRange(v, enc)
	}
	return dst, finerThan(v, enc)
}

func appendClock(dst []byte, v *value.Value, enc *Encoding, form string) ([]byte, *record.BadRecord) {
	s, err := timeText(v, enc, form)
	if err != nil {
		return dst, err
	}
	var c clock
	if c.readUsual(s) {
		return appendMoment(dst, &c, v, enc, form)
	}
	if sign := infinite(s); sign != 0 {
		dst = append(dst, 0, 0, 0, 8)
		if sign < 0 {
			return binary.BigEndian.AppendUint64(dst, 1<<63), nil
		}
		return binary.BigEndian.AppendUint64(dst, math.MaxInt64), nil
	}
	c = clock{}
	if !c.readTimestamp(s) {
		return dst, invalid(s, enc, form)
	}
	return appendMoment(dst, &c, v, enc, form)
}

// appendMoment writes what was read of a text, if the type can hold it.
func appendMoment(dst []byte, c *clock, v *value.Value, enc *Encoding, form string) ([]byte, *record.BadRecord) {
	switch {
	case enc.Of.Kind == TimestampTZ && !c.zoned:
		return dst, record.Bad(record.CodeInvalid, fmt.Sprintf("%s has no time zone; expected is %s, or a column of "+
			"type timestamp", glimpse(v), form))
	case enc.Of.Kind == Timestamp && c.offset != 0:
		return dst, record.Bad(record.CodeInvalid, fmt.Sprintf("%s has a time zone, which %s cannot keep; make the "+
			"column timestamptz", glimpse(v), enc.Of))
	}
	if c.digits > enc.fraction {
		return dst, finerThan(v, enc)
	}
	if c.days < firstDay-1 || c.days > lastTimestampDay {
		return dst, outOfRange(v, enc)
	}
	return appendMicros(dst, c.days*dayMicros+c.micros-c.offset*secondMicros, v, enc)
}

// readTimestamp reads a date, a T or a space, a time, and a zone if there is one. It is all of b.
func (c *clock) readTimestamp(b []byte) bool {
	bc := len(b) > 3 && equalFold(b[len(b)-3:], " bc")
	if bc {
		return c.readBC(b[:len(b)-3])
	}
	rest, ok := c.readDate(b)
	if !ok || len(rest) == 0 || rest[0]|0x20 != 't' && rest[0] != ' ' {
		return false
	}
	rest, ok = c.readTime(rest[1:])
	return ok && (len(rest) == 0 || c.readZone(rest))
}

// readBC reads a timestamp before Christ, where the era stands at the very end.
func (c *clock) readBC(b []byte) bool {
	i := 0
	for i < len(b) && b[i] != 'T' && b[i] != 't' && b[i] != ' ' {
		i++
	}
	if i == len(b) {
		return false
	}
	date := append(append(make([]byte, 0, 16), b[:i]...), " BC"...)
	if rest, ok := c.readDate(date); !ok || len(rest) > 0 {
		return false
	}
	rest, ok := c.readTime(b[i+1:])
	return ok && (len(rest) == 0 || c.readZone(rest))
}

// appendMicros writes the microseconds from 2000-01-01 that a value is.
func appendMicros(dst []byte, micros int64, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	if micros < firstTimestamp || micros >= endTimestamp {
		return dst, outOfRange(v, enc)
	}
	if !enc.holdsFraction(micros) {
		return dst, finerThan(v, enc)
	}
	dst = append(dst, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(dst, uint64(micros)), nil
}
