package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sinker/internal/local/localtest"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// absent is one side that is not there yet: an address, and a way to have it there.
type absent struct {
	addr string
	come func()
}

// absentPostgres is the address of a server that comes later.
func absentPostgres(t *testing.T, url string) absent {
	t.Helper()
	addr := deadPort(t)
	_, rest, _ := strings.Cut(url, "@")
	target, _, _ := strings.Cut(rest, "/")
	return absent{addr, func() {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go forward(l, target)
	}}
}

// forward is a plain relay to target, until the listener is closed.
func forward(l net.Listener, target string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			client.Close()
			continue
		}
		go func() { io.Copy(server, client); server.Close() }()
		go func() { io.Copy(client, server); client.Close() }()
	}
}

// service is `sinker run` in this process, with its HTTP side.
type service struct {
	t    *testing.T
	http string
	code chan int
	out  lockedBuffer
	stop context.CancelFunc
}

func startService(t *testing.T, file string) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &service{t: t, http: deadPort(t), code: make(chan int, 1), stop: cancel}
	go func() { s.code <- run(ctx, []string{"run", "-c", file, "--http", s.http}, &s.out, &s.out) }()
	t.Cleanup(cancel)
	return s
}

// get asks the HTTP side; code 0 means that nobody answers.
func (s *service) get(path string) (code int, body string) {
	resp, err := http.Get("http://" + s.http + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

func (s *service) ends(want int, text string) {
	s.t.Helper()
	select {
	case code := <-s.code:
		if code != want || !strings.Contains(s.out.String(), text) {
			s.t.Errorf("exit code %d, want %d and %q\n%s", code, want, text, s.out.String())
		}
	case <-time.After(30 * time.Second):
		s.t.Fatalf("it does not end\n%s", s.out.String())
	}
}

// TestServiceWaitsAtTheStart: what is away at the start is waited for as it is later, and the HTTP side says so meanwhile.
func TestServiceWaitsAtTheStart(t *testing.T) {
	for _, side := range []string{"Postgres", "Kafka", "both"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			s := &stage{t: t, url: localtest.Database(t)}
			s.connect()
			var come []func()
			if side != "Kafka" {
				away := absentPostgres(t, s.url)
				_, rest, _ := strings.Cut(s.url, "@")
				_, db, _ := strings.Cut(rest, "/")
				s.url = "postgres://postgres@" + away.addr + "/" + db
				come = append(come, away.come)
			}
			port := freePort(t)
			s.brokers = fmt.Sprintf("127.0.0.1:%d", port)
			kafka := func() { s.kafka = localtest.Kafka(t, kfake.Ports(port), kfake.SeedTopics(1, "orders")) }
			if side == "Postgres" {
				kafka()
			} else {
				come = append(come, kafka)
			}
			s.configure(ordersSink)
			svc := startService(t, s.file)
			for i, c := range come {
				s.eventually("503 with the reason", func() bool {
					code, body := svc.get("/readyz")
					return code == http.StatusServiceUnavailable && strings.Contains(body, "waiting to start: ") && strings.Contains(body, "refused")
				})
				if code, body := svc.get("/livez"); code != http.StatusOK {
					t.Errorf("/livez: %d %s", code, body)
				}
				if code, body := svc.get("/status"); code != http.StatusOK || !strings.Contains(body, `"ready": false`) {
					t.Errorf("/status: %d %s", code, body)
				}
				if n := strings.Count(svc.out.String(), "waiting to start"); n == 0 || n > 2*(i+1) {
					t.Errorf("it was said %d times\n%s", n, svc.out.String())
				}
				c()
			}
			s.eventually("Kafka", func() bool { return s.kafka != nil })
			s.produce(&kgo.Record{Value: []byte(`{"id":1}`)})
			s.eventually("the row", func() bool {
				return s.one(`SELECT to_regclass('orders') IS NOT NULL`) == "true" && s.one(`SELECT count(*) FROM orders`) == "1"
			})
			s.eventually("200", func() bool { code, _ := svc.get("/readyz"); return code == http.StatusOK })
			svc.stop()
			svc.ends(exitOK, "starting after all")
		})
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A service that waits at its start ends at once, and well, when it is told to.
func TestToldToStopWhileItWaits(t *testing.T) {
	s := newStage(t, ordersSink)
	for name, rest := range map[string]string{
		"Postgres": fmt.Sprintf("kafka: { brokers: '%s' }\npostgres: postgres://postgres@%s/x\n%s", s.brokers, deadPort(t), ordersSink),
		"Kafka":    fmt.Sprintf("kafka: { brokers: '%s' }\npostgres: %s\n%s", deadPort(t), s.url, ordersSink),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "sinker.yaml")
			if err := os.WriteFile(file, []byte(rest), 0o600); err != nil {
				t.Fatal(err)
			}
			svc := startService(t, file)
			s.eventually("it to wait", func() bool { _, body := svc.get("/readyz"); return strings.Contains(body, "waiting to start") })
			began := time.Now()
			svc.stop()
			svc.ends(exitOK, "stopped during startup")
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// What waiting does not change ends a service at its start, with the code that a bounded run ends with too.
func TestServiceEndsAtTheStart(t *testing.T) {
	s := newStage(t, ordersSink)
	s.exec(`CREATE TABLE narrow (identity int); CREATE ROLE r` + s.one(`SELECT current_database()`) + ` LOGIN`)
	t.Cleanup(func() { s.exec(`DROP ROLE r` + s.one(`SELECT current_database()`)) })
	nobody := strings.Replace(s.url, "postgres@", "nobody_here@", 1)
	elsewhere := s.url[:strings.LastIndex(s.url, "/")] + "/nothing_here"
	for name, c := range map[string]struct {
		url, brokers, sinks string
		text                string
	}{
		"WrongUser":     {nobody, s.brokers, ordersSink, "check the user and password"},
		"NoDatabase":    {elsewhere, s.brokers, ordersSink, "create the database"},
		"UnknownTopic":  {s.url, s.brokers, strings.Replace(ordersSink, "topic: orders", "topic: order", 1), "did you mean orders?"},
		"NoTable":       {s.url, s.brokers, "sinks: [{ topic: orders, table: nothing_here }]\n", "create: yes"},
		"WrongColumn":   {s.url, s.brokers, "sinks: [{ topic: orders, table: narrow, columns: { identiy: id } }]\n", "identity"},
		"MayNotMigrate": {strings.Replace(s.url, "postgres@", "r"+s.one(`SELECT current_database()`)+"@", 1), s.brokers, ordersSink, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "sinker.yaml")
			text := fmt.Sprintf("kafka: { brokers: '%s' }\npostgres: %s\n%s", c.brokers, c.url, c.sinks)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			startService(t, file).ends(exitConfig, c.text)
		})
	}
	t.Run("AddressInUse", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s.sinker("run", "-c", s.file, "--http", l.Addr().String()).want(t, exitFailed, "--http off")
	})
}
