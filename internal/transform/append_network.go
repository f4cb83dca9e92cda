package transform

import (
	"net/netip"
	"strconv"
)

const (
	formInet    = "an address as 10.1.2.3, 10.1.2.3/8 or ::1"
	formCIDR    = "a network as 10.1.0.0/16, without bits behind the mask"
	formMACAddr = "an address as 08:00:2b:01:02:03"

	familyIPv4 = 2 // as Postgres numbers them on the wire
	familyIPv6 = 3
)

// appendInet writes inet and cidr.
func appendInet(e *Encoder, dst, src []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	form, isNetwork := formInet, byte(0)
	if enc.of.Kind == CIDR {
		form, isNetwork = formCIDR, 1
	}
	if v.kind != text {
		return dst, wrongType(src, v, enc)
	}
	s, err := e.contentOf(src, v)
	if err != nil {
		return dst, err
	}
	prefix, ok := parsePrefix(string(s))
	if !ok || isNetwork == 1 && prefix.Masked() != prefix {
		return dst, invalid(s, enc, form)
	}
	addr := prefix.Addr()
	if addr.Is4() {
		b := addr.As4()
		dst = append(dst, 0, 0, 0, 8, familyIPv4, byte(prefix.Bits()), isNetwork, 4)
		return append(dst, b[:]...), nil
	}
	b := addr.As16()
	dst = append(dst, 0, 0, 0, 20, familyIPv6, byte(prefix.Bits()), isNetwork, 16)
	return append(dst, b[:]...), nil
}

// parsePrefix reads an address with or without a mask's length.
func parsePrefix(s string) (netip.Prefix, bool) {
	for i := range len(s) {
		if s[i] != '/' {
			continue
		}
		addr, err := netip.ParseAddr(s[:i])
		bits, err2 := strconv.ParseUint(s[i+1:], 10, 8)
		if err != nil || err2 != nil || addr.Zone() != "" || int(bits) > addr.BitLen() {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(addr, int(bits)), true
	}
	addr, err := netip.ParseAddr(s)
	return netip.PrefixFrom(addr, addr.BitLen()), err == nil && addr.Zone() == ""
}

// appendMACAddr writes macaddr: six bytes with colons or hyphens between them, or twelve digits without.
func appendMACAddr(e *Encoder, dst, src []byte, v *value, enc *encoding) ([]byte, *BadRecord) {
	if v.kind != text {
		return dst, wrongType(src, v, enc)
	}
	s, err := e.contentOf(src, v)
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
