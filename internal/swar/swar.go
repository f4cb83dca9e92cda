// Package swar looks at the eight bytes of a word at once.
package swar

// A word of which every byte is 1, or has its highest bit set.
const (
	Ones  = 0x0101010101010101
	Highs = 0x8080808080808080
)

// SumDigits returns the number of eight decimal digits, as numbers from 0 to 9, the first in the lowest byte.
func SumDigits(x uint64) uint64 {
	x = (x*10 + x>>8) & 0x00ff00ff00ff00ff
	x = (x*100 + x>>16) & 0x0000ffff0000ffff
	return (x*10000 + x>>32) & 0xffffffff
}
