// Package internal holds nothing but the test of the house: which package may import which.
package internal
