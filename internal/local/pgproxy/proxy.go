// Package pgproxy is a TCP proxy that understands enough of Postgres' protocol to know where a COMMIT is, so that
// tests can break, hold or silence the connection at exactly that point: before the server has it, after, or after it
// has been answered. It is for tests and for the fault harness; nothing in the service imports it.
package pgproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"sinker/internal/local/relay"

	"github.com/jackc/pgx/v5/pgconn"
)

// Fate is what becomes of one COMMIT.
type Fate int

const (
	// Pass forwards it and its answer.
	Pass Fate = iota
	// CutBefore breaks the connection before the server has the COMMIT: it is not committed.
	CutBefore
	// CutAfter breaks the connection as soon as the COMMIT has been sent to the server: committed, but maybe not yet.
	CutAfter
	// CutReply waits for the server's answer, throws it away, and breaks the connection: committed.
	CutReply
	// Hold keeps the answer back for HoldFor, then passes it on if the client is still there.
	Hold
	// HoldCut keeps the answer back for HoldFor, throws it away, and breaks the connection: committed.
	HoldCut
	// HoleBefore never forwards the COMMIT nor anything else, in either direction, and leaves the connection open: not
	// committed, and neither side is told.
	HoleBefore
	// HoleAfter forwards the COMMIT, and nothing else in either direction ever after: committed, and nobody is told.
	HoleAfter
)

func (f Fate) String() string {
	return [...]string{"pass", "cut before", "cut after", "cut reply", "hold", "hold and cut", "hole before",
		"hole after"}[f]
}

// Cuts says whether the client is not told what became of its COMMIT.
func (f Fate) Cuts() bool { return f != Pass && f != Hold }

// Proxy listens on loopback and forwards to a server.
type Proxy struct {
	*relay.Relay
	HoldFor time.Duration

	mu     sync.Mutex
	decide func(n int) Fate // n counts COMMITs from 0
	seen   int
	fates  map[Fate]int
}

// Listen starts a proxy to target, "host:port" or the path of a unix socket.
func Listen(target string) (*Proxy, error) {
	network := "tcp"
	if target[0] == '/' {
		network = "unix"
	}
	p := &Proxy{HoldFor: time.Second, decide: func(int) Fate { return Pass }, fates: map[Fate]int{}}
	var err error
	p.Relay, err = relay.Listen(func() (net.Conn, error) { return net.Dial(network, target) },
		func(pair *relay.Pair) (toServer, toClient func()) {
			l := &link{Pair: pair, proxy: p, statements: map[string]string{}}
			return l.toServer, l.toClient
		})
	return p, err
}

// Before starts a proxy to the server of a connection string, and returns the string that leads through it.
func Before(connection string) (p *Proxy, through string, err error) {
	cfg, err := pgconn.ParseConfig(connection)
	if err != nil {
		return nil, "", err
	}
	_, target := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	if p, err = Listen(target); err != nil {
		return nil, "", err
	}
	u := url.URL{Scheme: "postgres", User: url.User(cfg.User), Host: p.Addr(), Path: cfg.Database,
		RawQuery: "sslmode=disable"}
	if cfg.Password != "" {
		u.User = url.UserPassword(cfg.User, cfg.Password)
	}
	return p, u.String(), nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.Relay.Addr().String() }

// OnCommit sets what becomes of COMMITs from now on.
func (p *Proxy) OnCommit(decide func(n int) Fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = decide
}

// Fates returns how many COMMITs met each fate.
func (p *Proxy) Fates() map[Fate]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[Fate]int{}
	for f, n := range p.fates {
		out[f] = n
	}
	return out
}

func (p *Proxy) next() Fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.decide(p.seen)
	p.seen++
	p.fates[f]++
	return f
}

// link is one client's connection.
type link struct {
	*relay.Pair
	proxy      *Proxy
	statements map[string]string // prepared statements: name → SQL

	mu   sync.Mutex
	fate Fate // of the COMMIT under way
}

func (l *link) setFate(f Fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fate = f
}

func (l *link) takeFate() Fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fate
	l.fate = Pass
	return f
}

// errCut ends a link on purpose.
var errCut = errors.New("cut")

// end closes both connections, unless they have become a black hole: those stay open, with nobody reading them, until
// the proxy is closed.
func (l *link) end() {
	if f := l.peekFate(); f != HoleBefore && f != HoleAfter {
		l.Close()
	}
}

// toServer forwards the client's messages, looking for COMMIT.
func (l *link) toServer() {
	defer func() {
		// After CutAfter the server's side is closed by toClient, when it has read all answers: to close it with answers
		// unread would reset the connection, and the server might never read the COMMIT that it was sent.
		if l.peekFate() != CutAfter {
			l.end()
		}
	}()
	if err := l.startup(); err != nil {
		return
	}
	committing := false
	for {
		kind, body, raw, err := read(l.Client)
		if err != nil {
			return
		}
		if l.isCommit(kind, body) {
			committing = true
			fate := l.proxy.next()
			l.setFate(fate)
			if fate == CutBefore || fate == HoleBefore {
				return
			}
		}
		if _, err := l.Server.Write(raw); err != nil {
			return
		}
		if committing && (kind == 'S' || kind == 'Q') {
			committing = false
			if f := l.peekFate(); f == CutAfter || f == HoleAfter {
				if f == CutAfter {
					l.Client.Close()
				}
				return
			}
		}
	}
}

func (l *link) peekFate() Fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fate
}

// toClient forwards the server's messages; the answer to a doomed COMMIT ends the link.
func (l *link) toClient() {
	defer l.end()
	for {
		kind, _, raw, err := read(l.Server)
		if err != nil {
			return
		}
		switch l.peekFate() {
		case HoleBefore, HoleAfter:
			return
		case CutAfter, CutReply:
			if kind == 'Z' {
				return
			}
			continue
		case HoldCut:
			time.Sleep(l.proxy.HoldFor) // the fault itself
			return
		case Hold:
			time.Sleep(l.proxy.HoldFor) // the fault itself
			l.takeFate()
		}
		if _, err := l.Client.Write(raw); err != nil && l.peekFate() != CutAfter {
			return
		}
	}
}

// startup forwards the first message, which has no type. Encryption is answered with no.
func (l *link) startup() error {
	for {
		var size [4]byte
		if _, err := io.ReadFull(l.Client, size[:]); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint32(size[:])-4)
		if _, err := io.ReadFull(l.Client, body); err != nil {
			return err
		}
		const sslRequest, gssRequest = 80877103, 80877104
		if code := binary.BigEndian.Uint32(body); code == sslRequest || code == gssRequest {
			if _, err := l.Client.Write([]byte("N")); err != nil {
				return err
			}
			continue
		}
		_, err := l.Server.Write(append(size[:], body...))
		return err
	}
}

// read reads one message: its type, its body, and all of it as it came.
func read(r io.Reader) (kind byte, body, raw []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > 1<<30 {
		return 0, nil, nil, errCut
	}
	raw = make([]byte, 1+n)
	copy(raw, head[:])
	if _, err := io.ReadFull(r, raw[5:]); err != nil {
		return 0, nil, nil, err
	}
	return head[0], raw[5:], raw, nil
}

// isCommit looks at simple queries, and at the binding of statements that were prepared as COMMIT.
func (l *link) isCommit(kind byte, body []byte) bool {
	switch kind {
	case 'Q':
		return isCommitSQL(cstring(body))
	case 'P':
		name := cstring(body)
		l.statements[name] = cstring(body[len(name)+1:])
	case 'B':
		portal := cstring(body)
		return isCommitSQL(l.statements[cstring(body[len(portal)+1:])])
	}
	return false
}

func isCommitSQL(sql string) bool { return sql == "COMMIT" || sql == "commit" }

func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return string(b[:i])
	}
	return string(b)
}
