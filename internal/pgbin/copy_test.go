package pgbin_test

import (
	"encoding/binary"
	"testing"

	"sinker/internal/pgbin"
)

func TestCopyFraming(t *testing.T) {
	if got := pgbin.CopyHeader(); string(got[:11]) != "PGCOPY\n\xff\r\n\x00" || len(got) != 19 || binary.BigEndian.Uint64(got[11:]) != 0 {
		t.Errorf("header %q", got)
	}
	if got := pgbin.CopyTrailer(); string(got) != "\xff\xff" {
		t.Errorf("trailer %q", got)
	}
}
