// Package probe finds out what listens on a port that does not answer as it was expected to: a wrong port is the most
// common reason, and an error such as "unexpected EOF" does not say so.
package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"time"
)

// Protocol is what a port speaks, in a form fit for a sentence.
type Protocol string

// The protocols that are recognized. Unknown says nothing: the port may be closed, silent, or speak another protocol.
const (
	Unknown  Protocol = ""
	Kafka    Protocol = "Kafka"
	Postgres Protocol = "Postgres"
	HTTP     Protocol = "HTTP"
	TLS      Protocol = "TLS"
)

// patience bounds each question.
const patience = 500 * time.Millisecond

// question is what is sent on a connection of its own, and what the answer shows.
type question struct {
	send  []byte
	shows func(answer []byte) Protocol
}

var questions = []question{
	{sslRequest(), showsPostgres},
	{apiVersions(), showsKafka},
	{[]byte("GET / HTTP/1.0\r\n\r\n"), func([]byte) Protocol { return Unknown }},
}

// Who asks the port at addr (host:port) which protocol it speaks. It sends only what begins a conversation: a server
// that speaks another protocol closes the connection.
func Who(ctx context.Context, addr string) Protocol {
	for _, q := range questions {
		answer, open := ask(ctx, addr, q.send)
		if !open {
			return Unknown
		}
		if p := showsAny(answer); p != Unknown {
			return p
		}
		if p := q.shows(answer); p != Unknown {
			return p
		}
	}
	return Unknown
}

// ask returns the first bytes of an answer, none where there is no answer, and whether the port is open.
func ask(ctx context.Context, addr string, send []byte) (answer []byte, open bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(send); err != nil {
		return nil, true
	}
	answer = make([]byte, 16)
	n, err := conn.Read(answer)
	if err != nil {
		return nil, true
	}
	if n > 1 && n < 8 { // the rest may come in a packet of its own; one byte is the whole of Postgres' answer
		more, _ := io.ReadAtLeast(conn, answer[n:], 8-n)
		n += more
	}
	return answer[:n], true
}

// showsAny recognizes servers that answer what is not their protocol.
func showsAny(answer []byte) Protocol {
	switch {
	case bytes.HasPrefix(answer, []byte("HTTP/")):
		return HTTP
	case len(answer) >= 5 && answer[0] == 21 && answer[1] == 3: // an alert
		return TLS
	}
	return Unknown
}

// sslRequest asks Postgres for encryption, which it answers with one byte.
func sslRequest() []byte {
	b := binary.BigEndian.AppendUint32(nil, 8)
	return binary.BigEndian.AppendUint32(b, 80877103)
}

func showsPostgres(answer []byte) Protocol {
	if len(answer) == 1 && (answer[0] == 'S' || answer[0] == 'N') {
		return Postgres
	}
	return Unknown
}

const correlation = 0x5111fe2

// apiVersions asks Kafka which requests it takes.
func apiVersions() []byte {
	b := binary.BigEndian.AppendUint32(nil, 10)
	b = binary.BigEndian.AppendUint16(b, 18) // the request
	b = binary.BigEndian.AppendUint16(b, 0)  // its version
	b = binary.BigEndian.AppendUint32(b, correlation)
	return append(b, 0xff, 0xff) // no client id
}

func showsKafka(answer []byte) Protocol {
	if len(answer) >= 8 && binary.BigEndian.Uint32(answer[4:]) == correlation {
		return Kafka
	}
	return Unknown
}
