// Package transform turns Kafka records into rows: a sink's rule and its table are compiled once into a plan, and an
// encoder of that plan appends each record as one tuple in Postgres' binary COPY format.
//
// A record that can not become a row exactly as it is (not JSON, out of range, more digits than the column holds, …) is
// a *BadRecord; nothing is rounded, truncated or replaced on the way.
//
// The package is pure: it reads no clock, opens nothing, logs nothing and knows no SQL. A format finds the fields of a
// record and notes each as a value (json.go); an appender writes a value as a column's binary (append_*.go). The two
// meet only in the type value, which is where other formats come in.
package transform
