package transform

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"sinker/internal/record"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"google.golang.org/protobuf/encoding/protowire"
)

const order = `{"id":1,"note":"an order with a few words, so that it is worth packing"}`

// packed is what a library makes of the order.
func packed[W io.WriteCloser](t *testing.T, open func(io.Writer) W) string {
	t.Helper()
	var b bytes.Buffer
	w := open(&b)
	if _, err := io.WriteString(w, order); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// widened encodes text as UTF-16 or UTF-32, with or without a byte order mark.
func widened(size int, order binary.AppendByteOrder, mark bool, text string) string {
	var b []byte
	if mark {
		text = "\uFEFF" + text
	}
	if size == 4 {
		for _, r := range text {
			b = order.AppendUint32(b, uint32(r))
		}
		return string(b)
	}
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// message is an order in Protobuf: an id and a text, and in the second form the text first.
func message(textFirst bool) string {
	id := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 7)
	text := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "an order")
	nested := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), id)
	if textFirst {
		return string(append(text, nested...))
	}
	return string(append(id, nested...))
}

// TestLooksLike: a record that is not JSON has a reason that names what it is and what to do, whether it is a value or a sample.
func TestLooksLike(t *testing.T) {
	bson := "\x10id\x00\x01\x00\x00\x00\x00"
	bson = string(binary.LittleEndian.AppendUint32(nil, uint32(len(bson)+4))) + bson
	zip := "PK\x03\x04\x14\x00\x00\x00\x08\x00"
	for _, c := range []struct{ name, value, want string }{
		{"UTF16LE", widened(2, binary.LittleEndian, true, order), "UTF-16"},
		{"UTF16BE", widened(2, binary.BigEndian, true, order), "UTF-16"},
		{"UTF16LEBare", widened(2, binary.LittleEndian, false, order), "UTF-16"},
		{"UTF16BEBare", widened(2, binary.BigEndian, false, order), "UTF-16"},
		{"UTF32LE", widened(4, binary.LittleEndian, true, order), "UTF-32"},
		{"UTF32BE", widened(4, binary.BigEndian, true, order), "UTF-32"},
		{"UTF32LEBare", widened(4, binary.LittleEndian, false, order), "UTF-32"},
		{"UTF32BEBare", widened(4, binary.BigEndian, false, order), "UTF-32"},
		{"Gzip", packed(t, func(w io.Writer) *gzip.Writer { return gzip.NewWriter(w) }), "gzip"},
		{"Zlib", packed(t, func(w io.Writer) *zlib.Writer { return zlib.NewWriter(w) }), "zlib"},
		{"ZlibFast", packed(t, func(w io.Writer) *zlib.Writer { z, _ := zlib.NewWriterLevel(w, 1); return z }), "zlib"},
		{"ZlibBest", packed(t, func(w io.Writer) *zlib.Writer { z, _ := zlib.NewWriterLevel(w, 9); return z }), "zlib"},
		{"Zstd", packed(t, func(w io.Writer) *zstd.Encoder { z, _ := zstd.NewWriter(w); return z }), "zstd"},
		{"LZ4", packed(t, func(w io.Writer) *lz4.Writer { return lz4.NewWriter(w) }), "LZ4"},
		{"Snappy", packed(t, func(w io.Writer) *snappy.Writer { return snappy.NewBufferedWriter(w) }), "Snappy"},
		{"SnappyOfS2", packed(t, func(w io.Writer) *s2.Writer { return s2.NewWriter(w, s2.WriterSnappyCompat()) }), "Snappy"},
		{"SnappyOfJava", "\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01", "Snappy"},
		{"Bzip2", "BZh91AY&SY\x00\x01\x02", "bzip2"},
		{"XZ", "\xfd7zXZ\x00\x00\x04", "xz"},
		{"ZIP", zip, "a ZIP archive"},
		{"Registry", "\x00\x00\x00\x01\x02\x02\x08abcd", "the id 258, as the records of a schema registry do"},
		{"RegistryProtobuf", "\x00\x00\x00\x00\x09\x00" + message(false), "the id 9, as the records of a schema registry do"},
		{"RegistryJSON", "\x00\x00\x00\x00\x09" + order, "plain JSON serializer"},
		{"AvroFile", "Obj\x01\x04\x16avro.schema", "an Avro file"},
		{"AvroSingle", "\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08\x0e", "the fingerprint of its schema"},
		{"Glue", "\x03\x00" + strings.Repeat("\xab", 16) + "\x02", "AWS Glue"},
		{"GlueZlib", "\x03\x05" + strings.Repeat("\xab", 16) + "\x78", "AWS Glue"},
		{"Parquet", "PAR1\x15\x04\x15", "a Parquet file"},
		{"ORC", "ORC\x0a\x03\x10", "an ORC file"},
		{"Java", "\xac\xed\x00\x05sr\x00", "a serialized Java object"},
		{"Pickle2", "\x80\x02}q\x00.", "a Python pickle"},
		{"Pickle3", "\x80\x03}q\x00.", "a Python pickle"},
		{"Pickle4", "\x80\x04\x95\x0b\x00\x00", "a Python pickle"},
		{"Pickle5", "\x80\x05\x95\x0b\x00\x00", "a Python pickle"},
		{"MessagePack", "\x82\xa2id\x01\xa4note\xa2ok", "MessagePack"},
		{"CBOR", "\xa2bid\x01dnotebok", "CBOR"},
		{"CBORMarked", "\xd9\xd9\xf7\xa1bid\x01", "CBOR"},
		{"BSON", bson, "BSON"},
		{"Protobuf", message(false), "Protobuf"},
		{"ProtobufTextFirst", message(true), "Protobuf"},
		{"XML", `<?xml version="1.0"?><order id="1"/>`, "XML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := compile(t, Rule{}, columns(t, "id int"))
			_, _, err := e.Append(nil, ofValue(c.value))
			if err == nil || !strings.Contains(err.Error(), "not_json") || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "let the producer") && !strings.Contains(err.Error(), "send the JSON itself") {
				t.Errorf("%q: %v, want it to name %s and what to do", c.value, err, c.want)
			}
			if _, err := Infer(Rule{}, nil, slices.Values([]*record.Record{ofValue(c.value)})); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("as a sample: %v", err)
			}
		})
	}
}

// TestLooksLikeNothing: text that is not JSON, and JSON with a mistake, are described by the mistake.
func TestLooksLikeNothing(t *testing.T) {
	for _, value := range []string{"", " ", "hello", "x^2", "x\x9c", "ORC", "Object", "BZh", "PAR1", "2026-11-22", "id=1", "{", "{id:1}", `{"a":1,}`, "{'id':1}",
		"key: value", "\n\n", "nul", "tru", "\x7f", "ünïcode", "\xff", "\x00", "a,b,c\n1,2,3"} {
		_, _, err := compile(t, Rule{}, columns(t, "id int")).Append(nil, ofValue(value))
		if err == nil || strings.Contains(err.Error(), "looks like") || strings.Contains(err.Error(), "begins") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// TestByteOrderMark: a byte order mark before JSON is passed over, as RFC 8259 allows; it is no part of the value. Two are an error.
func TestByteOrderMark(t *testing.T) {
	const mark = "\uFEFF"
	for name, value := range map[string]string{"Object": order, "Space": " " + order, "Scalar": `5`, "List": `[1,2]`} {
		t.Run(name, func(t *testing.T) {
			e := compile(t, Rule{Columns: []Column{{Name: "raw", Path: "."}}}, columns(t, "raw jsonb"))
			want := row(e, ofValue(value))
			if got := row(e, ofValue(mark+value)); got != want || strings.Contains(want, "not_json") {
				t.Errorf("%q, want %q", got, want)
			}
			if got := row(e, ofValue(mark+mark+value)); !strings.HasPrefix(got, "not_json") {
				t.Errorf("two marks: %q", got)
			}
			if got := row(e, ofValue(value[:1]+mark+value[1:])); !strings.HasPrefix(got, "not_json") {
				t.Errorf("a mark within: %q", got)
			}
		})
	}
	e := compile(t, Rule{Columns: []Column{{Name: "id", Path: "$key.id"}, {Name: "note"}}}, columns(t, "id int", "note text"))
	key := func(k string) string {
		return row(e, &record.Record{Key: []byte(k), Value: []byte(mark + `{"note":"x"}`)})
	}
	if got, want := key(mark+`{"id":5}`), key(`{"id":5}`); got != want || strings.Contains(want, "not_json") {
		t.Errorf("in a key: %q, want %q", got, want)
	}
	if got := row(e, ofValue(mark)); !strings.HasPrefix(got, "not_json not JSON: it is empty") {
		t.Errorf("nothing but a mark: %s", fmt.Sprint(got))
	}
}
