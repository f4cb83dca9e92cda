package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// signature is how bytes that are not JSON begin, and what they are then.
type signature struct {
	begins string
	is     string // "it begins like …"
	next   string // what to do
}

const (
	unpacked = "send the JSON itself, and let the producer's compression.type compress it: Kafka clients unpack that " +
		"by themselves"
	plainly = "sinker reads plain JSON only: let the producer write JSON, or convert the topic before"
	inUTF8  = "JSON between systems is UTF-8: let the producer encode it as that"
)

// signatures are tried in order, so a longer one comes before one that it begins with.
var signatures = []signature{
	{"\x1f\x8b", "gzip", unpacked},
	{"\x28\xb5\x2f\xfd", "zstd", unpacked},
	{"\x04\x22\x4d\x18", "LZ4", unpacked},
	{"\xff\x06\x00\x00sNaPpY", "Snappy", unpacked},
	{"\x82SNAPPY\x00", "Snappy", unpacked},
	{"BZh", "bzip2", unpacked},
	{"\xfd7zXZ\x00", "xz", unpacked},
	{"\x78\x01", "zlib", unpacked},
	{"\x78\x5e", "zlib", unpacked},
	{"\x78\x9c", "zlib", unpacked},
	{"\x78\xda", "zlib", unpacked},
	{"PK\x03\x04", "a ZIP archive", unpacked},
	{"Obj\x01", "an Avro file", plainly},
	{"\xc3\x01", "Avro with the fingerprint of its schema", plainly},
	{"PAR1", "a Parquet file", plainly},
	{"ORC", "an ORC file", plainly},
	{"\x03\x00", "the AWS Glue schema registry", plainly},
	{"\x03\x05", "the AWS Glue schema registry", plainly},
	{"\xac\xed\x00\x05", "a serialized Java object", plainly},
	{"\x80\x02", "a Python pickle", plainly},
	{"\x80\x03", "a Python pickle", plainly},
	{"\x80\x04", "a Python pickle", plainly},
	{"\x80\x05", "a Python pickle", plainly},
	{"\xd9\xd9\xf7", "CBOR", plainly},
	{"<", "XML", plainly},
}

// leastSignature is how long a record must be for two bytes to mean something.
const leastSignature = 4

// LooksLike says what bytes that are not JSON look like, and what to do; empty where they look like nothing in
// particular.
func LooksLike(b []byte) string {
	if wide := wideText(b); wide != "" {
		return fmt.Sprintf("it looks like %s; %s", wide, inUTF8)
	}
	if id, ok := schemaID(b); ok {
		if rest := bytes.TrimLeft(b[5:], " \t\r\n"); len(rest) > 0 && rest[0] == '{' {
			return fmt.Sprintf("it begins with byte 0 and the id %d, as a schema registry's JSON Schema serializer writes "+
				"it; let the producer use the plain JSON serializer", id)
		}
		return fmt.Sprintf("it begins with byte 0 and the id %d, as the records of a schema registry do (Avro, "+
			"Protobuf); %s", id, plainly)
	}
	for _, s := range signatures {
		if len(b) >= leastSignature && bytes.HasPrefix(b, []byte(s.begins)) && (s.begins == "<" || !isText(b)) {
			return fmt.Sprintf("it begins like %s; %s", s.is, s.next)
		}
	}
	switch {
	case isBSON(b):
		return "it looks like BSON; " + plainly
	case isProtobuf(b):
		return "it looks like Protobuf; " + plainly
	case len(b) > 1 && (b[0] > 0x80 && b[0] <= 0x8f || b[0] == 0xde) && !utf8.Valid(b):
		return "it begins like a map of MessagePack; " + plainly
	case len(b) > 1 && (b[0] > 0xa0 && b[0] <= 0xbb || b[0] == 0xbf) && !utf8.Valid(b):
		return "it begins like a map of CBOR; " + plainly
	}
	return ""
}

// wideText recognizes text in UTF-16 or UTF-32: by its byte order mark, or because its first characters are ASCII.
func wideText(b []byte) string {
	for _, m := range []struct{ mark, is string }{
		{"\xff\xfe\x00\x00", "text in UTF-32"}, {"\x00\x00\xfe\xff", "text in UTF-32"},
		{"\xff\xfe", "text in UTF-16"}, {"\xfe\xff", "text in UTF-16"},
	} {
		if bytes.HasPrefix(b, []byte(m.mark)) {
			return m.is
		}
	}
	ascii := func(c byte) bool { return c >= ' ' && c < 0x7f || c == '\n' || c == '\r' || c == '\t' }
	switch {
	case len(b) >= 8 && b[0] == 0 && b[1] == 0 && b[2] == 0 && ascii(b[3]) &&
		b[4] == 0 && b[5] == 0 && b[6] == 0 && ascii(b[7]),
		len(b) >= 8 && ascii(b[0]) && b[1] == 0 && b[2] == 0 && b[3] == 0 &&
			ascii(b[4]) && b[5] == 0 && b[6] == 0 && b[7] == 0:
		return "text in UTF-32"
	case len(b) >= 4 && b[0] == 0 && ascii(b[1]) && b[2] == 0 && ascii(b[3]),
		len(b) >= 4 && ascii(b[0]) && b[1] == 0 && ascii(b[2]) && b[3] == 0:
		return "text in UTF-16"
	}
	return ""
}

// isBSON says whether the bytes are as many as they say, and end as a document of BSON does.
func isBSON(b []byte) bool {
	return len(b) >= 5 && uint64(binary.LittleEndian.Uint32(b)) == uint64(len(b)) && b[len(b)-1] == 0
}

// isProtobuf says whether the bytes can be read as fields of Protobuf, to their end, and cannot be text.
func isProtobuf(b []byte) bool {
	const most = 1000 // no schema that people write has more fields
	if len(b) < 2 || isText(b) {
		return false
	}
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 || num > most {
			return false
		}
		b = b[n:]
	}
	return true
}

// isText says whether there is nothing in the bytes that text does not have.
func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f
	})
}

// byteOrderMark may stand before JSON in UTF-8; RFC 8259 lets a reader ignore it.
var byteOrderMark = []byte("\xef\xbb\xbf")
