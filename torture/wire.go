package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// wire is a stretch of network between two programs: a TCP proxy whose target can change, that can be slow, that can be
// cut, and that can swallow everything in silence as a partition does.
type wire struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	target string // "": nobody is there
	delay  time.Duration
	silent chan struct{} // closed when the partition is over; nil: there is none
	open   map[net.Conn]bool
	held   int64 // chunks that met a partition or a delay: the evidence
	closed bool
}

// newWire listens; nobody is at the other end until connect.
func newWire() (*wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{listener: l, open: map[net.Conn]bool{}}
	w.wg.Go(w.accept)
	return w, nil
}

func (w *wire) addr() string { return w.listener.Addr().String() }

// connect sets who is at the other end from now on. Connections to whoever was there before are cut.
func (w *wire) connect(target string) {
	w.mu.Lock()
	changed := w.target != target
	w.target = target
	w.mu.Unlock()
	if changed {
		w.cut()
	}
}

// slow delays every chunk in either direction; 0 ends that.
func (w *wire) slow(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = by
}

// part begins a partition: nothing comes through, and nobody is told. heal ends it; what was under way arrives then,
// or, when lost, its connection is found to be broken.
func (w *wire) part() (heal func(lost bool)) {
	over := make(chan struct{})
	w.mu.Lock()
	w.silent = over
	w.mu.Unlock()
	var once sync.Once
	return func(lost bool) {
		once.Do(func() {
			if lost {
				w.cut()
			}
			w.mu.Lock()
			if w.silent == over {
				w.silent = nil
			}
			w.mu.Unlock()
			close(over)
		})
	}
}

// cut breaks every connection; it returns how many there were.
func (w *wire) cut() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		c.Close()
	}
	return len(w.open)
}

// touched is how many chunks have met a partition or a delay.
func (w *wire) touched() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
}

func (w *wire) close() {
	w.mu.Lock()
	w.closed = true
	if w.silent != nil {
		close(w.silent)
		w.silent = nil
	}
	w.mu.Unlock()
	w.listener.Close()
	w.cut()
	w.wg.Wait()
}

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.wg.Go(func() { w.carry(client) })
	}
}

// carry serves one connection. In a partition the client's connection is accepted, by us, and nothing follows.
func (w *wire) carry(client net.Conn) {
	if !w.track(client) {
		return
	}
	defer w.untrack(client)
	w.hold()
	w.mu.Lock()
	target := w.target
	w.mu.Unlock()
	if target == "" {
		return
	}
	server, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil || !w.track(server) {
		return
	}
	defer w.untrack(server)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			w.pump(way[0], way[1])
			way[0].Close()
			way[1].Close()
		})
	}
	both.Wait()
}

func (w *wire) pump(from io.Reader, to io.Writer) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			w.hold()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// hold keeps what is under way for as long as a delay or a partition wants.
func (w *wire) hold() {
	w.mu.Lock()
	delay, silent := w.delay, w.silent
	if delay > 0 || silent != nil {
		w.held++
	}
	w.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay) // the fault itself
	}
	if silent != nil {
		<-silent
	}
}

func (w *wire) track(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		c.Close()
		return false
	}
	w.open[c] = true
	return true
}

func (w *wire) untrack(c net.Conn) {
	c.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, c)
}
