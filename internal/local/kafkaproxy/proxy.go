// Package kafkaproxy is a TCP proxy that understands enough of Kafka's protocol to know which request is which, so that
// tests can break, hold or silence a connection at one of them: at a heartbeat, at a fetch, at the commit of offsets.
// It is for tests; nothing in the service imports it.
package kafkaproxy

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"sinker/internal/local/relay"
)

// Fate is what becomes of one request.
type Fate int

const (
	// Pass forwards it and its answer.
	Pass Fate = iota
	// CutBefore breaks the connection before the broker has the request.
	CutBefore
	// CutAfter throws the broker's answer away, and breaks the connection.
	CutAfter
	// Hold keeps the answer, and all that follow it on the connection, back for HoldFor.
	Hold
	// Hole forwards the request, and nothing else in either direction ever after. The connection stays open.
	Hole
)

// Request is what the proxy knows of a request.
type Request struct {
	Key      int16 // which of Kafka's requests it is
	ClientID string
}

// Proxy listens on loopback and forwards to one broker.
type Proxy struct {
	*relay.Relay
	HoldFor time.Duration

	mu     sync.Mutex
	target string
	decide func(Request) Fate
}

// Listen starts a proxy to a broker that Behind will make.
func Listen() (*Proxy, error) {
	p := &Proxy{HoldFor: time.Second, decide: func(Request) Fate { return Pass }}
	var err error
	p.Relay, err = relay.Listen(p.dial, func(pair *relay.Pair) (toServer, toClient func()) {
		l := &link{Pair: pair, proxy: p, fates: map[uint32]Fate{}}
		return l.toBroker, l.toClient
	})
	return p, err
}

func (p *Proxy) dial() (net.Conn, error) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	return net.Dial("tcp", target)
}

// Behind makes the listener of the broker behind the proxy; kfake.ListenFn takes it. The listener gives the proxy's
// address for its own, so that the addresses in the broker's answers lead through the proxy.
func (p *Proxy) Behind(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = l.Addr().String()
	return behind{l, p.Addr()}, nil
}

type behind struct {
	net.Listener
	addr net.Addr
}

func (b behind) Addr() net.Addr { return b.addr }

// OnRequest sets what becomes of requests from now on.
func (p *Proxy) OnRequest(decide func(Request) Fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = decide
}

// link is one client's connection.
type link struct {
	*relay.Pair
	proxy *Proxy

	mu    sync.Mutex
	fates map[uint32]Fate // of requests under way, by their correlation id
	hole  bool
}

// end closes both connections, unless they have become a black hole: those stay open, with nobody reading them, until
// the proxy is closed.
func (l *link) end() {
	if l.isHole() {
		return
	}
	l.Close()
}

func (l *link) isHole() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hole
}

// toBroker forwards the client's requests, up to one that is to be the last.
func (l *link) toBroker() {
	defer l.end()
	for {
		raw, err := read(l.Client)
		if err != nil {
			return
		}
		req, correlation, err := header(raw)
		if err != nil {
			return
		}
		l.proxy.mu.Lock()
		decide := l.proxy.decide
		l.proxy.mu.Unlock()
		fate := decide(req)
		l.mu.Lock()
		l.fates[correlation] = fate
		l.hole = fate == Hole
		l.mu.Unlock()
		if fate == CutBefore {
			return
		}
		if _, err := l.Server.Write(raw); err != nil || fate == Hole {
			return
		}
	}
}

// toClient forwards the broker's answers.
func (l *link) toClient() {
	defer l.end()
	for {
		raw, err := read(l.Server)
		if err != nil || l.isHole() {
			return
		}
		switch l.take(binary.BigEndian.Uint32(raw[4:])) {
		case CutAfter:
			return
		case Hold:
			time.Sleep(l.proxy.HoldFor) // the fault itself
		}
		if _, err := l.Client.Write(raw); err != nil {
			return
		}
	}
}

func (l *link) take(correlation uint32) Fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fates[correlation]
	delete(l.fates, correlation)
	return f
}

var errFrame = errors.New("not a message of Kafka's")

// read reads one request or answer, with the size before it. Both have a correlation id at least.
func read(r io.Reader) (raw []byte, err error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > 1<<30 {
		return nil, errFrame
	}
	raw = make([]byte, 4+n)
	copy(raw, size[:])
	_, err = io.ReadFull(r, raw[4:])
	return raw, err
}

// header reads what every request begins with, whatever its version: key, version, correlation id, client id.
func header(raw []byte) (req Request, correlation uint32, err error) {
	const start = 4 + 2 + 2 + 4 + 2
	if len(raw) < start {
		return req, 0, errFrame
	}
	req.Key = int16(binary.BigEndian.Uint16(raw[4:]))
	correlation = binary.BigEndian.Uint32(raw[8:])
	if n := int(int16(binary.BigEndian.Uint16(raw[12:]))); n > 0 && len(raw) >= start+n {
		req.ClientID = string(raw[start : start+n])
	}
	return req, correlation, nil
}
