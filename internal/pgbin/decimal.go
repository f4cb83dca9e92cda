package pgbin

// decimal is a decimal number as it is written: whole.fraction × 10^exponent.
type decimal struct {
	negative        bool
	whole, fraction []byte // digits
	exponent        int    // held within ±exponentCap
}

// exponentCap is where counting an exponent's digits stops: far beyond any limit, and far from overflow.
const exponentCap = 10_000_000

// parseDecimal reads a number as Postgres' numeric does: a sign, digits with or without a point (at least one digit),
// an exponent. JSON's numbers are among these.
func parseDecimal(b []byte) (d decimal, ok bool) {
	i := 0
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		d.negative = b[i] == '-'
		i++
	}
	d.whole, i = digits(b, i)
	if i < len(b) && b[i] == '.' {
		d.fraction, i = digits(b, i+1)
	}
	if len(d.whole)+len(d.fraction) == 0 {
		return d, false
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		negative := false
		if i < len(b) && (b[i] == '-' || b[i] == '+') {
			negative = b[i] == '-'
			i++
		}
		var exp []byte
		if exp, i = digits(b, i); len(exp) == 0 {
			return d, false
		}
		for _, c := range exp {
			d.exponent = min(d.exponent*10+int(c-'0'), exponentCap)
		}
		if negative {
			d.exponent = -d.exponent
		}
	}
	return d, i == len(b)
}

func digits(b []byte, i int) ([]byte, int) {
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return b[start:i], i
}

// at returns the digit of a place, counted from the first of whole; 0 outside.
func (d *decimal) at(i int) byte {
	switch {
	case i < 0:
	case i < len(d.whole):
		return d.whole[i] - '0'
	case i < len(d.whole)+len(d.fraction):
		return d.fraction[i-len(d.whole)] - '0'
	}
	return 0
}

// significant returns the places of the first digit that is not 0, and behind the last such. Both are equal for 0.
func (d *decimal) significant() (first, end int) {
	end = len(d.whole) + len(d.fraction)
	for first < end && d.at(first) == 0 {
		first++
	}
	for end > first && d.at(end-1) == 0 {
		end--
	}
	return first, end
}

// point returns the place of the decimal point, which may be far outside of the digits.
func (d *decimal) point() int { return len(d.whole) + d.exponent }

// integer returns the number if it is one and fits.
func (d *decimal) integer() (n int64, isInteger, fits bool) {
	first, end := d.significant()
	point := d.point()
	if first == end {
		return 0, true, true
	}
	if end > point {
		return 0, false, false
	}
	if point-first > 19 {
		return 0, true, false
	}
	var m uint64 // nineteen digits fit
	for i := first; i < point; i++ {
		m = m*10 + uint64(d.at(i))
	}
	if d.negative {
		return -int64(m), true, m <= 1<<63
	}
	return int64(m), true, m < 1<<63
}

// trimSpace cuts the spaces that Postgres' input functions skip.
func trimSpace(b []byte) []byte {
	isSpace := func(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
