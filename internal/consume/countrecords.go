package consume

import "encoding/binary"

// leastRecord is how many bytes follow the length of a record that has neither key nor value.
const leastRecord = 6

// countRecords counts the records of an unpacked batch, by their lengths alone. Of what is no batch of the present
// format it counts nothing, or what looks like records at its beginning.
func countRecords(b []byte) (n int) {
	for len(b) > 0 {
		var length, used int
		if b[0] < 0x80 {
			length, used = int(b[0]>>1), 1
		} else {
			v, u := binary.Varint(b)
			length, used = int(v), u
		}
		if used <= 0 || length < leastRecord || length > len(b)-used {
			return n
		}
		b = b[used+length:]
		n++
	}
	return n
}
