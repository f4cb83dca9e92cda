package txn

import (
	"context"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

func TestTransactionPooler(t *testing.T) {
	ctx := context.Background()

	t.Run("IsRefused", func(t *testing.T) {
		db := empty(t)
		_, _, err := Migrate(ctx, startPooler(t, db.url), quiet)
		wantClass(t, err, Schema, "postgres.migrate_url")
		db.want(`SELECT to_regnamespace('sinker') IS NULL`, "true")
	})

	t.Run("IsFineWithNothingToDo", func(t *testing.T) {
		db := migrated(t)
		if _, _, err := Migrate(ctx, startPooler(t, db.url), quiet); err != nil {
			t.Error(err)
		}
	})

	// Two workers that share a server process must not meet each other's prepared statements.
	t.Run("CarriesTwoWorkers", func(t *testing.T) {
		db := newDatabase(t)
		through := startPooler(t, db.url)
		for partition, owner := range []string{"a", "b"} {
			s := db.storeWith(Config{URL: through, Owner: owner})
			for range 2 {
				db.take(s, claim(TopicPartition{Topic: "orders", Partition: int32(partition)}, 0))
			}
		}
		db.want(`SELECT string_agg(owner || fence, ' ' ORDER BY owner) FROM sinker.offsets`, "a2 b2")
	})

	t.Run("IsNotADirectConnection", func(t *testing.T) {
		if transactionPooler(ctx, empty(t).url) {
			t.Error("a direct connection was taken for a pooler")
		}
	})
}

// pooler gives each transaction of its clients its one server connection, as pgbouncer with pool_mode = transaction
// and a pool of one does. It knows the messages of this package's queries only.
type pooler struct {
	mu     sync.Mutex // held while a client has a transaction
	server *pgconn.HijackedConn
}

// startPooler returns the URL of the database through a pooler.
func startPooler(t *testing.T, dbURL string) string {
	t.Helper()
	conn, err := pgconn.Connect(context.Background(), dbURL)
	if err != nil {
		t.Fatal(err)
	}
	server, err := conn.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pooler{server: server}
	var clients sync.WaitGroup
	clients.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			clients.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		clients.Wait()
		server.Conn.Close()
	})
	u, err := url.Parse(dbURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = l.Addr().String()
	u.RawQuery = "sslmode=disable"
	return u.String()
}

func (p *pooler) serve(c net.Conn) {
	defer c.Close()
	client := pgproto3.NewBackend(c, c)
	if _, err := client.ReceiveStartupMessage(); err != nil {
		return
	}
	client.Send(&pgproto3.AuthenticationOk{})
	client.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	client.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	client.Send(&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}})
	client.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if client.Flush() != nil {
		return
	}
	for in := false; ; {
		msg, err := client.Receive()
		if _, bye := msg.(*pgproto3.Terminate); err != nil || bye {
			if in {
				p.mu.Unlock()
			}
			return
		}
		if !in {
			p.mu.Lock()
			in = true
		}
		p.server.Frontend.Send(msg)
		switch msg.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
			if in = p.answer(client); !in {
				p.mu.Unlock()
			}
		}
	}
}

// answer passes the server's answer on and says whether the transaction goes on.
func (p *pooler) answer(client *pgproto3.Backend) (open bool) {
	if p.server.Frontend.Flush() != nil {
		return false
	}
	for {
		msg, err := p.server.Frontend.Receive()
		if err != nil {
			return false
		}
		client.Send(msg)
		if ready, ok := msg.(*pgproto3.ReadyForQuery); ok {
			open = ready.TxStatus != 'I'
			return client.Flush() == nil && open
		}
	}
}
