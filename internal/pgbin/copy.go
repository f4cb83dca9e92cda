package pgbin

// CopyHeader returns what a binary COPY begins with: the signature, no flags, no header extension. The caller must not
// change it.
func CopyHeader() []byte { return copyHeader }

// CopyTrailer returns what a binary COPY ends with: a field count of -1. The caller must not change it.
func CopyTrailer() []byte { return copyTrailer }

var (
	copyHeader  = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	copyTrailer = []byte{0xff, 0xff}
)
