package pgbin

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"

	"sinker/internal/record"
	"sinker/internal/swar"
	"sinker/internal/value"
)

const (
	formBytea = `base64 with its padding, or hexadecimal behind \x`
	formUUID  = "32 hexadecimal digits as 5f0c6c2e-8d6b-4a3b-9c44-0d1c2e3f4a5b"
)

// appendBytea writes bytes, as they are or given as a text: hexadecimal behind \x, as Postgres writes them, or else
// base64 of the standard alphabet with padding, as JSON encoders of bytes write it.
func appendBytea(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	if v.Kind == value.Bytes {
		return append(appendInt32(dst, int32(len(v.B))), v.B...), nil
	}
	if v.Kind != value.Text {
		return dst, wrongType(v, enc)
	}
	s, err := content(v)
	if err != nil {
		return dst, err
	}
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	var ok bool
	if hex, isHex := bytes.CutPrefix(s, []byte(`\x`)); isHex {
		dst, ok = appendHex(dst, hex)
	} else {
		dst, ok = appendFromBase64(dst, s)
	}
	if !ok {
		return dst, invalid(s, enc, formBytea)
	}
	setLength(dst, at)
	return dst, nil
}

func appendHex(dst, s []byte) ([]byte, bool) {
	if len(s)%2 != 0 {
		return dst, false
	}
	for i := 0; i < len(s); i += 2 {
		high, low := hexValue[s[i]], hexValue[s[i+1]]
		if high|low > 15 {
			return dst, false
		}
		dst = append(dst, high<<4|low)
	}
	return dst, true
}

// strictBase64 refuses bits that would be dropped. Line breaks, which it would skip, are refused before.
var strictBase64 = base64.StdEncoding.Strict()

func appendFromBase64(dst, s []byte) ([]byte, bool) {
	if bytes.ContainsAny(s, "\r\n") {
		return dst, false
	}
	out, err := strictBase64.AppendDecode(dst, s)
	return out, err == nil
}

// appendUUID writes a UUID: sixteen bytes, or a text in any form that Postgres reads: hyphens after each four digits or
// not, braces around or not.
func appendUUID(dst []byte, v *value.Value, enc *Encoding) ([]byte, *record.BadRecord) {
	if v.Kind == value.Bytes && len(v.B) == 16 {
		return append(append(dst, 0, 0, 0, 16), v.B...), nil
	}
	if v.Kind != value.Text {
		return dst, wrongType(v, enc)
	}
	s, err := content(v)
	if err != nil {
		return dst, err
	}
	dst = append(dst, 0, 0, 0, 16)
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		le := binary.LittleEndian
		a, ok1 := hex8(le.Uint64(s))
		b, ok2 := hex8(uint64(le.Uint32(s[9:])) | uint64(le.Uint32(s[14:]))<<32)
		c, ok3 := hex8(uint64(le.Uint32(s[19:])) | uint64(le.Uint32(s[24:]))<<32)
		d, ok4 := hex8(le.Uint64(s[28:]))
		if !(ok1 && ok2 && ok3 && ok4) {
			return dst, invalid(s, enc, formUUID)
		}
		return le.AppendUint64(le.AppendUint64(dst, a|b<<32), c|d<<32), nil
	}
	out, ok := appendLooseUUID(dst, s)
	if !ok {
		return dst, invalid(s, enc, formUUID)
	}
	return out, nil
}

// hex8 reads eight hexadecimal digits, the first in the lowest byte, into four bytes in that order. A digit's value is
// its low four bits, and 9 more for a letter, which bit 6 tells; what is written back from the value must be the digit
// that was read.
func hex8(x uint64) (uint64, bool) {
	low, letter := x&(0x0f*swar.Ones), x>>6&swar.Ones
	v := low + 9*letter
	wrong := (v+0x76*swar.Ones-6*letter)&swar.Highs | letter<<7&^(low+0x7f*swar.Ones) |
		(x | 0x20*letter) ^ (v + 0x30*swar.Ones + 0x27*letter)
	v = (v<<4 | v>>8) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return (v | v>>16) & 0xffffffff, wrong == 0
}

func appendLooseUUID(dst, s []byte) ([]byte, bool) {
	if len(s) > 1 && s[0] == '{' {
		if s[len(s)-1] != '}' {
			return dst, false
		}
		s = s[1 : len(s)-1]
	}
	for i := range 16 {
		if len(s) < 2 || hexValue[s[0]]|hexValue[s[1]] > 15 {
			return dst, false
		}
		dst = append(dst, hexValue[s[0]]<<4|hexValue[s[1]])
		s = s[2:]
		if len(s) > 0 && s[0] == '-' && i%2 == 1 && i < 15 {
			s = s[1:]
		}
	}
	return dst, len(s) == 0
}
