// Package transform turns Kafka records into rows: a sink's rule and its table are compiled once into a plan, and an
// encoder of that plan appends each record as one tuple in Postgres' binary COPY format.
//
// A record that cannot become a row exactly as it is (not JSON, out of range, more digits than the column holds, …) is
// a *BadRecord. Nothing is rounded, truncated or replaced on the way.
//
// The package is pure: it reads no clock, opens nothing, logs nothing and knows no SQL. A format (package format) finds
// the fields of a record as values (package value). An encoding (package pgbin) writes a value as a column's binary
// field.
//
// # What a JSON value becomes
//
// A field that is not there becomes the column's default, or else NULL. A default that only Postgres can compute leaves
// the column out of the tuple (Encoder.Shape). null becomes NULL. In a NOT NULL column null is a bad record, and
// without a default a field that is not there is one too. So is a record that has none of the fields that columns are
// read from. Of a repeated field the last one counts. Fields that no column wants are only checked to be JSON.
//
//   - boolean: true, false, 1, 0, and the texts Postgres reads as one.
//   - smallint, integer, bigint: integers, also as 5.0 or 1e2, or as a text of digits with or without a sign.
//   - numeric: any number, or a text that Postgres reads as one, NaN and Infinity included; never by way of a float.
//     numeric(p,s) takes only what needs no rounding.
//   - real, double precision: the nearest float, as is their nature; what would become infinite or zero is refused.
//   - text, varchar(n), char(n), citext: strings; numbers, booleans, objects and arrays as their JSON text. A string
//     longer than n is refused, also if only spaces are too many.
//   - bytea: a string of base64 with padding, or of hexadecimal behind \x.
//   - uuid, inet, cidr, macaddr, enumerations: strings as Postgres reads them.
//   - date, time, timestamp: ISO 8601 strings, infinity where Postgres has it. timestamp with time zone needs a zone;
//     timestamp without takes none, or Z. A leap second's 60, digits beyond the type's precision that are not zero, and
//     numbers (in which unit?) are refused.
//   - interval: ISO 8601 durations, or Postgres' own form; fractions only of hours and smaller.
//   - json, jsonb: the JSON itself; null is NULL, and null within an object or array stays null. Half surrogate
//     pairs, \u0000 and numbers with exponents beyond ±400 are refused.
//   - arrays: JSON arrays; arrays within are further dimensions, of one length each.
//
// Text is refused where it is not UTF-8 or holds \u0000 or half a surrogate pair.
package transform
