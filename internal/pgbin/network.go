package pgbin

import (
	"slices"

	"sinker/internal/record"
	"sinker/internal/value"
)

const (
	formInet    = "an address as 10.1.2.3, 10.1.2.3/8 or ::1"
	formCIDR    = "a network as 10.1.0.0/16, without bits behind the mask"
	formMACAddr = "an address as 08:00:2b:01:02:03"

	familyIPv4 = 2 // as Postgres numbers them on the wire
	familyIPv6 = 3
)

// appendInet writes inet and cidr.
func appendInet(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	form, isNetwork := formInet, byte(0)
	if enc.Of.Kind == CIDR {
		form, isNetwork = formCIDR, 1
	}
	if v.Kind != value.Text {
		return dst, wrongType(v, enc)
	}
	s, err := content(v)
	if err != nil {
		return dst, err
	}
	var a address
	if !a.read(s) || isNetwork == 1 && a.hasHostBits() {
		return dst, invalid(s, enc, form)
	}
	family := byte(familyIPv4)
	if a.size == 16 {
		family = familyIPv6
	}
	dst = append(dst, 0, 0, 0, byte(4+a.size), family, byte(a.bits), isNetwork, byte(a.size))
	return append(dst, a.bytes[:a.size]...), nil
}

// address is an IP address with a mask.
type address struct {
	bytes [16]byte
	size  int // 4 or 16
	bits  int // of the mask
}

// read reads an address with or without the length of a mask.
func (a *address) read(s []byte) bool {
	addr, mask := s, []byte(nil)
	if i := slices.Index(s, '/'); i >= 0 {
		addr, mask = s[:i], s[i+1:]
	}
	a.size = 4
	if slices.Contains(addr, ':') {
		a.size = 16
		if !readIPv6(a.bytes[:], addr) {
			return false
		}
	} else if !readIPv4(a.bytes[:4], addr) {
		return false
	}
	a.bits = 8 * a.size
	if mask == nil {
		return true
	}
	n, rest, ok := readByte(mask)
	a.bits = n
	return ok && len(rest) == 0 && n <= 8*a.size
}

func (a *address) hasHostBits() bool {
	for i := a.bits; i < 8*a.size; i++ {
		if a.bytes[i/8]>>(7-i%8)&1 != 0 {
			return true
		}
	}
	return false
}

// readByte reads a number up to 255 without leading zeros.
func readByte(s []byte) (n int, rest []byte, ok bool) {
	i := 0
	for i < len(s) && i < 3 && s[i]-'0' <= 9 {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return n, s[i:], i > 0 && n <= 255 && (s[0] != '0' || i == 1)
}

func readIPv4(to, s []byte) bool {
	for i := range to {
		if i > 0 {
			if len(s) == 0 || s[0] != '.' {
				return false
			}
			s = s[1:]
		}
		n, rest, ok := readByte(s)
		if !ok {
			return false
		}
		to[i], s = byte(n), rest
	}
	return len(s) == 0
}

// readIPv6 reads groups of hexadecimal digits, of which :: leaves out one or more zeros, and at the end perhaps an IPv4
// address. to is all zeros before.
func readIPv6(to, s []byte) bool {
	n, gap := 0, -1
	if len(s) >= 2 && s[0] == ':' && s[1] == ':' {
		gap, s = 0, s[2:]
	}
	for len(s) > 0 {
		if n == 16 {
			return false
		}
		if !slices.Contains(s, ':') && slices.Contains(s, '.') {
			if n > 12 || !readIPv4(to[n:n+4], s) {
				return false
			}
			n += 4
			break
		}
		digits, group := 0, 0
		for digits < len(s) && digits < 4 && hexValue[s[digits]] < 16 {
			group = group<<4 | int(hexValue[s[digits]])
			digits++
		}
		if digits == 0 {
			return false
		}
		to[n], to[n+1] = byte(group>>8), byte(group)
		n, s = n+2, s[digits:]
		if len(s) == 0 {
			break
		}
		if s[0] != ':' || len(s) == 1 {
			return false
		}
		if s = s[1:]; s[0] == ':' {
			if gap >= 0 {
				return false
			}
			gap, s = n, s[1:]
		}
	}
	if gap < 0 {
		return n == 16
	}
	if n == 16 {
		return false
	}
	moved := copy(to[16-(n-gap):], to[gap:n])
	clear(to[gap : 16-moved])
	return true
}

// appendMACAddr writes macaddr: six bytes with colons or hyphens between them, or twelve digits without.
func appendMACAddr(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	if v.Kind != value.Text {
		return dst, wrongType(v, enc)
	}
	s, err := content(v)
	if err != nil {
		return dst, err
	}
	dst = append(dst, 0, 0, 0, 6)
	step := 2
	if len(s) == 17 {
		step = 3
	} else if len(s) != 12 {
		return dst, invalid(s, enc, formMACAddr)
	}
	for i := 0; i < len(s); i += step {
		high, low := hexValue[s[i]], hexValue[s[i+1]]
		if high|low > 15 || step == 3 && i < 15 && (s[i+2] != s[2] || s[2] != ':' && s[2] != '-') {
			return dst, invalid(s, enc, formMACAddr)
		}
		dst = append(dst, high<<4|low)
	}
	return dst, nil
}
