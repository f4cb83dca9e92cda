package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"sinker/internal/local"
	"sinker/internal/local/pgproxy"
)

// mainPipeline moves the big topics, asidePipeline the small ones that are deleted and damaged on purpose.
const (
	mainPipeline  = "torture"
	asidePipeline = "torture-aside"
)

// link is one way to a Postgres: a proxy that knows where a COMMIT is, and behind it a wire.
type link struct {
	proxy *pgproxy.Proxy
	wire  *wire  // nil: the wire is behind the pooler
	role  string // primary, or host: whichever server has this place
	leads string // the server's address
}

// sinker is one `sinker run` that is started again whenever it ends, as a service manager does.
type sinker struct {
	st          *stage
	name        string
	pipeline    string
	links       []*link
	kafka       []*wire // to each broker; none: directly
	instance    string
	synchronous string
	full        *local.Postgres // its own server, whose disk gets full; nil: the big ones
	topic       string          // what it reads then

	mu      sync.Mutex
	cmd     *exec.Cmd
	gone    chan struct{} // closed when the process of cmd has ended
	wanted  bool
	starts  int
	idle    chan struct{} // closed when the supervisor has ended
	stopNow context.CancelFunc
}

func (st *stage) newSinker(name, pipeline string) (*sinker, error) {
	return &sinker{st: st, name: name, pipeline: pipeline}, nil
}

// wirePostgres makes the ways to Postgres: "hosts" names both servers and lets the client find the primary, "address"
// is one address that always leads to the primary, "pooler" is pgbouncer.
func (s *sinker) wirePostgres(way string) error {
	roles := map[string][]string{"hosts": {"host", "host"}, "address": {"primary"}, "pooler": {"pooler"}}[way]
	for _, role := range roles {
		l := &link{role: role}
		var target string
		if role == "pooler" {
			target = s.st.bouncer.addr()
		} else {
			w, err := newWire()
			if err != nil {
				return err
			}
			l.wire, target = w, w.addr()
		}
		var err error
		if l.proxy, err = pgproxy.Listen(target); err != nil {
			return err
		}
		l.proxy.HoldFor = 2 * time.Second
		s.links = append(s.links, l)
	}
	return nil
}

func (s *sinker) wireKafka(brokers int) error {
	for range brokers {
		w, err := newWire()
		if err != nil {
			return err
		}
		s.kafka = append(s.kafka, w)
	}
	return nil
}

// rewire leads the wires to the servers that are there now. A server keeps its place as long as it is there.
func (s *sinker) rewire(primary, standby string) {
	var free []*link
	placed := map[string]bool{}
	for _, l := range s.links {
		switch {
		case l.role == "primary":
			l.wire.connect(primary)
		case l.role == "host" && l.leads != "" && (l.leads == primary || l.leads == standby):
			placed[l.leads] = true
		case l.role == "host":
			l.leads = ""
			free = append(free, l)
		}
	}
	for _, server := range []string{primary, standby} {
		if server != "" && !placed[server] && len(free) > 0 {
			free[0].leads, free = server, free[1:]
		}
	}
	for _, l := range s.links {
		if l.role == "host" {
			l.wire.connect(l.leads)
		}
	}
}

// brokers are the addresses it is told.
func (s *sinker) brokers() []string {
	if len(s.kafka) == 0 {
		return s.st.kafka.Brokers()
	}
	var all []string
	for _, w := range s.kafka {
		all = append(all, w.addr())
	}
	return all
}

// config writes its configuration file.
func (s *sinker) config() (string, error) {
	var hosts []string
	for _, l := range s.links {
		hosts = append(hosts, l.proxy.Addr())
	}
	if s.full != nil {
		return s.st.writeConfig(s.name, s.pipeline, s.brokers(), s.full.URL("postgres"), s.instance, s.synchronous, s.topic)
	}
	url := "postgres://postgres@" + strings.Join(hosts, ",") + "/postgres?sslmode=disable&connect_timeout=5"
	return s.st.writeConfig(s.name, s.pipeline, s.brokers(), url, s.instance, s.synchronous, "")
}

// writeConfig writes a pipeline's configuration. Small batches mean many transactions to break.
func (st *stage) writeConfig(name, pipeline string, brokers []string, url, instance, synchronous,
	topic string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nkafka:\n  brokers: [%s]\n", pipeline, strings.Join(brokers, ", "))
	if instance != "" {
		fmt.Fprintf(&b, "  instance: %s\n", instance)
	}
	fmt.Fprintf(&b, "postgres:\n  url: %q\n", url)
	if pipeline != fullPipeline { // migrations need a direct connection, past the pooler
		fmt.Fprintf(&b, "  migrate_url: %q\n", st.db.url())
	}
	if synchronous != "" {
		fmt.Fprintf(&b, "  synchronous_commit: %s\n", synchronous)
	}
	fmt.Fprintf(&b, "batch: { rows: 5000, every: 20ms }\nsinks:\n")
	if pipeline == fullPipeline {
		fmt.Fprintf(&b, "  - { topic: %s, table: heavy }\n", topic)
	} else if pipeline == asidePipeline {
		for _, topic := range asideTopics {
			fmt.Fprintf(&b, "  - { topic: %s, table: %s, columns: { id: id }, meta: [partition, offset] }\n", topic, topic)
		}
	} else {
		for _, t := range tables {
			fmt.Fprintf(&b, "  - topic: %s\n    table: %s\n    columns: { id: id, k: k, n: n, amount: amount, sum: sum }\n "+
				"   meta: [partition, offset]\n", t.name, t.name)
			if t.upsert {
				fmt.Fprintf(&b, "    key: [k]\n    delete: tombstone\n")
			}
			if t.sums != "" {
				fmt.Fprintf(&b, "  - topic: %s\n    table: %s\n    group: { g: g }\n    add: { records: 1, n: n, amount: "+
					"amount }\n    max: { newest: id }\n    min: { least: n }\n", t.name, t.sums)
			}
		}
	}
	path := filepath.Join(st.dir, name+".yaml")
	return path, os.WriteFile(path, []byte(b.String()), 0o600)
}

// run keeps the program running until stop or close.
func (s *sinker) run() error {
	log, err := os.OpenFile(filepath.Join(s.st.dir, s.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	s.wanted, s.idle, s.stopNow = true, make(chan struct{}), cancel
	s.mu.Unlock()
	go func() {
		defer log.Close()
		defer close(s.idle)
		for ctx.Err() == nil {
			began := time.Now()
			if err := s.once(log); err != nil {
				s.st.tally.problem("%s: %v", s.name, err)
				return
			}
			if time.Since(began) < 2*time.Second { // it cannot work now: Postgres or Kafka is away
				wait(ctx, 500*time.Millisecond)
			}
		}
	}()
	return nil
}

// once runs the program to its end.
func (s *sinker) once(log io.Writer) error {
	config, err := s.config()
	if err != nil {
		return err
	}
	cmd := exec.Command(s.st.binary, "run", "-c", config, "--http", "off", "--log-format", "text", "--with-parent")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "TMPDIR="+s.st.dir) // its lock files go with the folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	alive, err := cmd.StdinPipe() // it ends when this program does
	if err != nil {
		return err
	}
	defer alive.Close()
	s.mu.Lock()
	if !s.wanted {
		s.mu.Unlock()
		return nil
	}
	if err := cmd.Start(); err != nil {
		s.mu.Unlock()
		return err
	}
	s.st.marks.started(startMark{s.name, cmd.Process.Pid, time.Now()})
	gone := make(chan struct{})
	s.cmd, s.gone = cmd, gone
	s.starts++
	s.mu.Unlock()
	cmd.Wait()
	s.mu.Lock()
	s.cmd = nil
	s.mu.Unlock()
	close(gone)
	if code := cmd.ProcessState.ExitCode(); code > 0 && code != 69 { // 69: what it needs is away
		s.st.say("%s exited with %d", s.name, code)
		if code != 1 {
			s.st.tally.problem("%s exited with code %d by itself (see %s.log)", s.name, code, s.name)
		}
	}
	return nil
}

// signal sends the running process a signal.
func (s *sinker) signal(sig syscall.Signal) (gone <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil, errors.New("it is not running")
	}
	return s.gone, s.cmd.Process.Signal(sig)
}

// kill ends the process with SIGKILL; it is started again at once.
func (s *sinker) kill() error {
	s.mu.Lock()
	mark := killMark{sinker: s.name, at: time.Now()}
	if s.cmd != nil {
		mark.pid = s.cmd.Process.Pid
	}
	s.mu.Unlock()
	gone, err := s.signal(syscall.SIGKILL)
	if err != nil {
		return err
	}
	<-gone
	s.st.marks.killed(mark)
	s.st.tally.killedSinker()
	return nil
}

// hold keeps the program from being started again, and ends it if it runs; run starts it again.
func (s *sinker) hold(sig syscall.Signal) error {
	s.mu.Lock()
	if !s.wanted {
		s.mu.Unlock()
		return nil
	}
	s.wanted = false
	s.stopNow()
	s.mu.Unlock()
	if gone, err := s.signal(sig); err == nil {
		if sig == syscall.SIGKILL {
			s.st.tally.killedSinker()
		}
		select {
		case <-gone:
		case <-time.After(40 * time.Second):
			s.signal(syscall.SIGKILL)
			<-gone
			return fmt.Errorf("%s still ran 40 s after %v", s.name, sig)
		}
	}
	<-s.idle
	return nil
}

// running says whether the process has been up for a moment.
func (s *sinker) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd != nil
}

func (s *sinker) close() {
	s.signal(syscall.SIGCONT)
	s.hold(syscall.SIGKILL)
	for _, l := range s.links {
		l.proxy.Close()
		if l.wire != nil {
			l.wire.close()
		}
	}
	for _, w := range s.kafka {
		w.close()
	}
}

// operator runs one of sinker's commands as a person would, with direct ways to Kafka and to the primary.
func (st *stage) operator(ctx context.Context, pipeline string, args ...string) (string, error) {
	st.orders.Lock()
	defer st.orders.Unlock()
	config, err := st.writeConfig("operator-"+pipeline, pipeline, st.kafka.Brokers(), st.db.url(), "", "", "")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, st.binary, append(args, "-c", config)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
