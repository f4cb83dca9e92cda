// Package relay is what the proxies of tests have in common: each client's connection has one of its own to a server,
// and all of them end with the relay. What passes between the two is the proxy's business.
package relay

import (
	"net"
	"sync"
)

// Relay listens on loopback.
type Relay struct {
	listener net.Listener
	dial     func() (net.Conn, error)
	pass     func(*Pair) (toServer, toClient func())

	mu     sync.Mutex
	open   map[*Pair]bool
	closed bool
	wg     sync.WaitGroup
}

// Pair is a client's connection and its own to the server.
type Pair struct {
	Client, Server net.Conn
	relay          *Relay
}

// Listen starts a relay. dial connects to the server; pass returns what moves the bytes of a pair, each way, until
// the pair is closed. They run on goroutines of their own.
func Listen(dial func() (net.Conn, error), pass func(*Pair) (toServer, toClient func())) (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{listener: l, dial: dial, pass: pass, open: map[*Pair]bool{}}
	r.wg.Go(r.accept)
	return r, nil
}

// Addr is where the relay listens.
func (r *Relay) Addr() net.Addr { return r.listener.Addr() }

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := r.dial()
		if err != nil {
			client.Close()
			continue
		}
		p := &Pair{Client: client, Server: server, relay: r}
		if !r.track(p) {
			p.Close()
			return
		}
		toServer, toClient := r.pass(p)
		r.wg.Go(toServer)
		r.wg.Go(toClient)
	}
}

func (r *Relay) track(p *Pair) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[p] = true
	return !r.closed
}

// Close closes both connections.
func (p *Pair) Close() {
	p.Client.Close()
	p.Server.Close()
	p.relay.mu.Lock()
	defer p.relay.mu.Unlock()
	delete(p.relay.open, p)
}

// CutAll closes every pair.
func (r *Relay) CutAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.open {
		p.Client.Close()
		p.Server.Close()
	}
}

// Close ends the relay and all its pairs.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.listener.Close()
	r.CutAll()
	r.wg.Wait()
}
