package transform

import (
	"encoding/binary"
	"fmt"
	"math"
)

const (
	formDate        = "a date as 2026-11-22"
	formTime        = "a time as 12:34:56.789"
	formTimestamp   = "a time as 2026-11-22T12:34:56.789, without a zone or with Z"
	formTimestampTZ = "a time with its zone as 2026-11-22T12:34:56.789Z or …+01:00"
)

// timeText returns the content of a text for the types of dates and times.
func timeText(v *value, enc *encoding, form string) ([]byte, *BadRecord) {
	if v.kind == number {
		return nil, bad(CodeWrongType, fmt.Sprintf("the number %s has no unit, so it is no %s; send %s, or load it as bigint", glimpse(v.b), enc.of, form))
	}
	if v.kind != text {
		return nil, wrongType(v, enc)
	}
	s, err := v.content()
	return trimSpace(s), err
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

func appendDate(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
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
			return dst, outOfRange(s, enc)
		}
	}
	dst = append(dst, 0, 0, 0, 4)
	return binary.BigEndian.AppendUint32(dst, uint32(int32(c.days))), nil
}

func appendTime(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	s, err := timeText(v, enc, formTime)
	if err != nil {
		return dst, err
	}
	var c clock
	if rest, ok := c.readTime(s); !ok || len(rest) > 0 {
		return dst, invalid(s, enc, formTime)
	}
	if err := c.checkFraction(s, enc); err != nil {
		return dst, err
	}
	dst = append(dst, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(dst, uint64(c.micros)), nil
}

func (c *clock) checkFraction(s []byte, enc *encoding) *BadRecord {
	if c.digits > enc.fraction {
		return inexact(s, enc, fmt.Sprintf("%d digits of a second", enc.fraction))
	}
	return nil
}

// appendTimestamp writes timestamp without time zone. A zone of Z or +00:00 is taken, because the clock's reading is
// UTC's and stays what it is; any other would be lost.
func appendTimestamp(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	s, err := timeText(v, enc, formTimestamp)
	if err != nil {
		return dst, err
	}
	return appendClock(dst, s, enc, formTimestamp)
}

// appendTimestampTZ writes timestamp with time zone. A text without a zone is refused: which one is meant is not known
// here, and Postgres would take its session's.
func appendTimestampTZ(dst []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	s, err := timeText(v, enc, formTimestampTZ)
	if err != nil {
		return dst, err
	}
	return appendClock(dst, s, enc, formTimestampTZ)
}

func appendClock(dst, s []byte, enc *encoding, form string) ([]byte, *BadRecord) {
	var c clock
	if c.readUsual(s) {
		return appendMoment(dst, &c, s, enc, form)
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
	return appendMoment(dst, &c, s, enc, form)
}

// appendMoment writes what was read of s, if the type can hold it.
func appendMoment(dst []byte, c *clock, s []byte, enc *encoding, form string) ([]byte, *BadRecord) {
	switch {
	case enc.of.Kind == TimestampTZ && !c.zoned:
		return dst, bad(CodeInvalid, fmt.Sprintf("%s has no time zone; expected is %s, or a column of type timestamp", glimpse(s), form))
	case enc.of.Kind == Timestamp && c.offset != 0:
		return dst, bad(CodeInvalid, fmt.Sprintf("%s has a time zone, which %s can not keep; make the column timestamptz", glimpse(s), enc.of))
	}
	if err := c.checkFraction(s, enc); err != nil {
		return dst, err
	}
	if c.days < firstDay-1 || c.days > lastTimestampDay {
		return dst, outOfRange(s, enc)
	}
	return appendMicros(dst, c.days*dayMicros+c.micros-c.offset*secondMicros, s, enc)
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

// appendMicros writes microseconds from 2000-01-01, for which s is the text.
func appendMicros(dst []byte, micros int64, s []byte, enc *encoding) ([]byte, *BadRecord) {
	if micros < firstTimestamp || micros >= endTimestamp {
		return dst, outOfRange(s, enc)
	}
	if enc.fraction < 6 && micros%int64(tens[6-enc.fraction]) != 0 {
		return dst, inexact(s, enc, fmt.Sprintf("%d digits of a second", enc.fraction))
	}
	dst = append(dst, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(dst, uint64(micros)), nil
}
