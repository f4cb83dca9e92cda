package pgbin

// Postgres counts dates and times from 2000-01-01, in days and in microseconds.
const (
	epochMicros  = 946_684_800_000_000 // 2000-01-01 in Unix microseconds
	epochDays    = 10_957              // and days
	epochSeconds = epochMicros / secondMicros
	dayMicros    = 86_400_000_000
	hourMicros   = 3_600_000_000
	minuteMicros = 60_000_000
	secondMicros = 1_000_000

	firstDay       = -2_451_545    // 4714-11-24 BC
	lastDay        = 2_145_031_948 // 5874897-12-31
	firstTimestamp = -211_813_488_000_000_000
	endTimestamp   = 9_223_371_331_200_000_000 // 294277-01-01, the first that is not held

	lastTimestampDay = endTimestamp/dayMicros + 1 // a zone may bring it back in; microseconds up to it are an int64
)

// clock is what was read of a date, a time or both.
type clock struct {
	days   int64 // from 2000-01-01
	micros int64 // of the day
	offset int64 // seconds east of Greenwich
	zoned  bool  // there was a zone
	digits int   // digits of the second up to the last that is not zero
}

// daysOf counts the days from 2000-01-01 to a date of the Gregorian calendar, year 0 being 1 BC. Years are counted from
// March, which puts the leap day at a year's end.
func daysOf(year, month, day int64) int64 {
	if month < 3 {
		year, month = year-1, month+12
	}
	century := floorDiv(year, 100)
	return 365*year + floorDiv(year, 4) - century + floorDiv(century, 4) + (153*(month-3)+2)/5 + day - 1 - 730_425
}

func floorDiv(a, b int64) int64 {
	if q := a / b; q*b <= a {
		return q
	}
	return a/b - 1
}

func daysInMonth(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// two reads two digits; more than 99 means that they are none.
func two(b []byte, i int) int64 {
	tens, units := b[i]-'0', b[i+1]-'0'
	if tens > 9 || units > 9 {
		return 1000
	}
	return int64(tens)*10 + int64(units)
}

// readDate reads YYYY-MM-DD at the start of b; a year may have up to seven digits, but not fewer than four.
func (c *clock) readDate(b []byte) (rest []byte, ok bool) {
	var year int64
	n := 0
	for n < len(b) && b[n]-'0' <= 9 && n < 8 {
		year = year*10 + int64(b[n]-'0')
		n++
	}
	if n < 4 || n > 7 || len(b) < n+6 || b[n] != '-' || b[n+3] != '-' {
		return b, false
	}
	month, day := two(b, n+1), two(b, n+4)
	rest = b[n+6:]
	if year == 0 {
		return b, false
	}
	if bc := len(rest) - 3; bc >= 0 && equalFold(rest[bc:], " bc") {
		year, rest = 1-year, rest[:bc]
	}
	if month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month) {
		return b, false
	}
	c.days = daysOf(year, month, day)
	return rest, true
}

// readTime reads HH:MM, HH:MM:SS or HH:MM:SS.fraction at the start of b. 24:00:00 is the end of the day. A second has
// no sixtieth here: Postgres would move it into the next minute.
func (c *clock) readTime(b []byte) (rest []byte, ok bool) {
	if len(b) < 5 || b[2] != ':' {
		return b, false
	}
	hour, minute, second := two(b, 0), two(b, 3), int64(0)
	rest = b[5:]
	if len(rest) >= 3 && rest[0] == ':' {
		second = two(rest, 1)
		rest = rest[3:]
	}
	if hour > 24 || minute > 59 || second > 59 {
		return b, false
	}
	c.micros = hour*hourMicros + minute*minuteMicros + second*secondMicros
	if len(rest) > 0 && rest[0] == '.' && len(b) > len(rest)+5 {
		if rest, ok = c.readFraction(rest[1:]); !ok {
			return b, false
		}
	}
	return rest, c.micros <= dayMicros && c.digits <= 6 || hour < 24
}

// readFraction reads the digits behind a second's point.
func (c *clock) readFraction(b []byte) (rest []byte, ok bool) {
	unit := int64(secondMicros)
	n := 0
	for n < len(b) && b[n]-'0' <= 9 {
		digit := int64(b[n] - '0')
		unit /= 10
		c.micros += digit * unit
		n++
		if digit > 0 {
			c.digits = n
		}
	}
	return b[n:], n > 0
}

// readZone reads Z, ±HH, ±HHMM, ±HH:MM or ±HH:MM:SS, which is all that is left.
func (c *clock) readZone(b []byte) bool {
	if len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	if len(b) == 1 && b[0]|0x20 == 'z' {
		c.zoned = true
		return true
	}
	if len(b) < 3 || b[0] != '+' && b[0] != '-' {
		return false
	}
	hours, minutes, seconds := two(b, 1), int64(0), int64(0)
	switch rest := b[3:]; {
	case len(rest) == 0:
	case len(rest) == 2:
		minutes = two(rest, 0)
	case len(rest) == 3 && rest[0] == ':':
		minutes = two(rest, 1)
	case len(rest) == 6 && rest[0] == ':' && rest[3] == ':':
		minutes, seconds = two(rest, 1), two(rest, 4)
	default:
		return false
	}
	if hours > 15 || minutes > 59 || seconds > 59 {
		return false
	}
	c.offset = hours*3600 + minutes*60 + seconds
	if b[0] == '-' {
		c.offset = -c.offset
	}
	c.zoned = true
	return true
}

// TimeKind says what a text is in full: Date, Timestamp or TimestampTZ, in ISO 8601 with a year of four digits;
// otherwise Unknown.
func TimeKind(s []byte) Kind {
	var c clock
	if len(s) < 10 || s[4] != '-' {
		return Unknown
	}
	if len(s) == 10 {
		if rest, ok := c.readDate(s); ok && len(rest) == 0 {
			return Date
		}
		return Unknown
	}
	if s[10]|0x20 != 't' && s[10] != ' ' || !c.readTimestamp(s) || c.digits > 6 {
		return Unknown
	}
	if c.zoned {
		return TimestampTZ
	}
	return Timestamp
}
