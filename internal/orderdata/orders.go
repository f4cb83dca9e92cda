// Package orderdata generates example orders: the records of the demonstration, of docker-compose.yml and of
// benchmarks.
package orderdata

import (
	"strconv"
	"time"
)

// Columns is the table that Order's records fit, for `columns:` of a configuration.
const Columns = `      id:          id bigint
      customer_id: customer.id integer
      country:     customer.country text
      status:      status text
      total:       total numeric(12,2)
      items:       items integer
      express:     express boolean
      note:        note text
      created_at:  created_at timestamptz
      ref:         ref uuid
`

var (
	countries = []string{"DE", "FR", "US", "BR", "JP", "IN", "NG", "CA"}
	statuses  = []string{"new", "paid", "sent", "returned"}
	notes     = []string{"leave it at the door", "gift wrap, please", `call \"before\" noon`,
		"caf\u00e9 au rez-de-chauss\u00e9e", "", `second floor\nleft`}
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Order appends order i, about 210 bytes of JSON. The same i gives the same bytes everywhere.
func Order(dst []byte, i int64) []byte {
	r := mix(uint64(i))
	dst = append(dst, `{"id":`...)
	dst = strconv.AppendInt(dst, i, 10)
	dst = append(dst, `,"customer":{"id":`...)
	dst = strconv.AppendUint(dst, r%100_000, 10)
	dst = append(dst, `,"country":"`...)
	dst = append(dst, countries[r>>17%8]...)
	dst = append(dst, `"},"status":"`...)
	dst = append(dst, statuses[r>>21%4]...)
	dst = append(dst, `","total":`...)
	dst = strconv.AppendUint(dst, r>>24%5000, 10)
	dst = append(dst, '.', byte('0'+r>>37%10), byte('0'+r>>41%10))
	dst = append(dst, `,"items":`...)
	dst = strconv.AppendUint(dst, 1+r>>45%9, 10)
	dst = append(dst, `,"express":`...)
	dst = strconv.AppendBool(dst, r>>49%3 == 0)
	dst = append(dst, `,"note":"`...)
	dst = append(dst, notes[r>>52%6]...)
	dst = append(dst, `","created_at":"`...)
	dst = epoch.Add(time.Duration(i)*time.Second+time.Duration(r>>40%1_000_000)*time.Microsecond).AppendFormat(dst,
		"2006-01-02T15:04:05.000000Z")
	dst = append(dst, `","ref":"`...)
	dst = appendUUID(dst, r, mix(r))
	return append(dst, `"}`...)
}

// mix is a step of splitmix64: it spreads neighbouring numbers over all 64 bits.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

const hexDigits = "0123456789abcdef"

func appendUUID(dst []byte, hi, lo uint64) []byte {
	hi = hi&^0xf000 | 0x4000 // version 4
	lo = lo&^(3<<62) | 1<<63 // variant 1
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			dst = append(dst, '-')
		}
		v := hi
		if i >= 16 {
			v = lo
		}
		dst = append(dst, hexDigits[v>>(60-4*(i%16))&15])
	}
	return dst
}
