package pgbin

import (
	"encoding/binary"

	"sinker/internal/swar"
)

// The usual form of a timestamp, 2026-11-22T12:34:56 with a fraction and a zone or without, is read eight bytes at a
// time. A word minus its pattern has small numbers where digits must stand, and zeros where anything else must; adding
// the limit lifts whatever is larger to the highest bit of its byte.
const (
	patternDate = '0' | '0'<<8 | '0'<<16 | '0'<<24 | '-'<<32 | '0'<<40 | '0'<<48 | '-'<<56 // YYYY-MM-
	limitDate   = 0x7f_76_76_7f_76_76_76_76
	patternTime = '0' | '0'<<8 | 'T'<<16 | '0'<<24 | '0'<<32 | ':'<<40 | '0'<<48 | '0'<<56 // DDTHH:MM
	limitTime   = 0x76_76_7f_76_76_7f_76_76
)

// readUsual reads the usual form. It reports false for any other, and for what is no time at all; readTimestamp tells.
func (c *clock) readUsual(b []byte) bool {
	if len(b) < 20 || b[16] != ':' {
		return false
	}
	date := binary.LittleEndian.Uint64(b) ^ patternDate
	time := binary.LittleEndian.Uint64(b[8:]) ^ patternTime
	if b[10] == ' ' {
		time ^= ('T' ^ ' ') << 16
	}
	if ((date+limitDate)|date|(time+limitTime)|time)&swar.Highs != 0 {
		return false
	}
	date, time = date*10+date>>8, time*10+time>>8 // the numbers of two digits, each where its first digit was
	year, month, day := int64(date&0xff*100+date>>16&0xff), int64(date>>40&0xff), int64(time&0xff)
	hour, minute, second := int64(time>>24&0xff), int64(time>>48&0xff), two(b, 17)
	if year == 0 || month-1 > 11 || month == 0 || day == 0 || day > 28 && day > daysInMonth(year, month) ||
		hour > 23 || minute > 59 || second > 59 {
		return false
	}
	c.days = daysOf(year, month, day)
	c.micros = hour*hourMicros + minute*minuteMicros + second*secondMicros
	end := len(b) - 1
	if b[end] != 'Z' {
		if end -= 5; end < 19 || !c.readZone(b[end:]) {
			return false
		}
	}
	c.zoned = true
	return end == 19 || b[19] == '.' && c.readShortFraction(b, end)
}

// readShortFraction reads the one to six digits from b[20] to end, which come last in the word that ends there.
func (c *clock) readShortFraction(b []byte, end int) bool {
	n := uint(end - 20)
	if n < 1 || n > 6 {
		return false
	}
	x := (binary.LittleEndian.Uint64(b[end-8:]) ^ '0'*swar.Ones) >> (64 - 8*n) << (64 - 8*n)
	if ((x+(0x80-10)*swar.Ones)|x)&swar.Highs != 0 {
		return false
	}
	fraction := swar.SumDigits(x)
	c.micros += int64(fraction * tens[6-n])
	if c.digits = int(n); fraction%10 == 0 {
		for c.digits > 0 && fraction%10 == 0 {
			fraction /= 10
			c.digits--
		}
	}
	return true
}
