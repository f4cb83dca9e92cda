package local

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// KafkaOptions choose how a temporary Kafka runs.
type KafkaOptions struct {
	Release  *KafkaRelease // nil: FindKafka
	Nodes    int           // 0: one
	Heap     string        // of each node; empty: 400m
	Settings map[string]string
	// Extra are further listeners: Extra[node][i] is the address that clients of the i-th are told, a proxy's for example.
	// KafkaNode.Listener says where the node really listens.
	Extra [][]string
	Log   io.Writer // what the nodes print; nil: the file log in each node's folder
}

// Kafka is a temporary real Kafka on loopback: nodes that are broker and controller at once. It ends with this process,
// and its files go.
type Kafka struct {
	Nodes   []*KafkaNode
	Release *KafkaRelease
	id      string
	dir     string
	remove  func()
}

// KafkaNode is one of its processes. Its methods must not be called at the same time.
type KafkaNode struct {
	ID    int
	kafka *Kafka
	opts  *KafkaOptions
	dir   string
	port  int // clients'; the controller's is the next, then the further listeners'
	run   *guarded
}

// StartKafka starts a new cluster and returns when every node listens.
func StartKafka(ctx context.Context, opts KafkaOptions) (*Kafka, error) {
	if opts.Release == nil {
		release, err := FindKafka()
		if err != nil {
			return nil, err
		}
		opts.Release = release
	}
	opts.Nodes = max(opts.Nodes, 1)
	k := &Kafka{Release: opts.Release}
	id := make([]byte, 16)
	rand.Read(id)
	id[0] &= 0x7f // its text must not begin with a dash: that would be an option
	k.id = base64.RawURLEncoding.EncodeToString(id)
	var err error
	if k.dir, k.remove, err = TempDir("sinker-kafka-"); err != nil {
		return nil, err
	}
	if err := k.start(ctx, &opts); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func (k *Kafka) start(ctx context.Context, opts *KafkaOptions) error {
	for i := range opts.Nodes {
		listeners := 2
		if i < len(opts.Extra) {
			listeners += len(opts.Extra[i])
		}
		port, err := freePorts(listeners)
		if err != nil {
			return err
		}
		k.Nodes = append(k.Nodes, &KafkaNode{ID: i, kafka: k, opts: opts,
			dir: filepath.Join(k.dir, fmt.Sprintf("node-%d", i)), port: port})
	}
	for _, n := range k.Nodes {
		if err := n.format(ctx); err != nil {
			return err
		}
		if err := n.launch(); err != nil {
			return err
		}
	}
	for _, n := range k.Nodes {
		if err := n.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Brokers are the addresses of the nodes' own listeners.
func (k *Kafka) Brokers() (all []string) {
	for _, n := range k.Nodes {
		all = append(all, n.Addr())
	}
	return all
}

// Close ends all nodes and removes their files.
func (k *Kafka) Close() error {
	for _, n := range k.Nodes {
		if n.run != nil {
			n.run.end()
			n.run = nil
		}
	}
	k.remove()
	return os.RemoveAll(k.dir)
}

// Addr is where the node's own listener is.
func (n *KafkaNode) Addr() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

// Listener is where the i-th further listener is.
func (n *KafkaNode) Listener(i int) string { return fmt.Sprintf("127.0.0.1:%d", n.port+2+i) }

// Data is the folder of the node's logs.
func (n *KafkaNode) Data() string { return filepath.Join(n.dir, "data") }

// properties are the node's settings, as lines of a properties file.
func (n *KafkaNode) properties() string {
	var voters []string
	for _, other := range n.kafka.Nodes {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", other.ID, other.port+1))
	}
	replicas := strconv.Itoa(min(len(n.kafka.Nodes), 3))
	listeners := []string{"PLAINTEXT://" + n.Addr(), fmt.Sprintf("CONTROLLER://127.0.0.1:%d", n.port+1)}
	advertised, protocols := []string{"PLAINTEXT://" + n.Addr()}, []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	if n.ID < len(n.opts.Extra) {
		for i, address := range n.opts.Extra[n.ID] {
			name := fmt.Sprintf("EXTRA%d", i)
			listeners = append(listeners, name+"://"+n.Listener(i))
			advertised = append(advertised, name+"://"+address)
			protocols = append(protocols, name+":PLAINTEXT")
		}
	}
	settings := map[string]string{
		"process.roles": "broker,controller", "node.id": strconv.Itoa(n.ID),
		"controller.quorum.voters": strings.Join(voters, ","),
		"listeners":                strings.Join(listeners, ","), "advertised.listeners": strings.Join(advertised, ","),
		"controller.listener.names": "CONTROLLER", "listener.security.protocol.map": strings.Join(protocols, ","),
		"inter.broker.listener.name": "PLAINTEXT", "log.dirs": n.Data(),
		"offsets.topic.replication.factor": replicas, "transaction.state.log.replication.factor": replicas,
		"transaction.state.log.min.isr":    "1",
		"group.initial.rebalance.delay.ms": "0",
	}
	maps.Copy(settings, n.opts.Settings)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s=%s\n", name, settings[name])
	}
	return b.String()
}

func (n *KafkaNode) format(ctx context.Context) error {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(n.dir, "server.properties")
	if err := os.WriteFile(file, []byte(n.properties()), 0o644); err != nil {
		return err
	}
	cmd := n.kafka.Release.Command("256m", "kafka.tools.StorageTool", "format", "-t", n.kafka.id, "-c", file)
	stop := context.AfterFunc(ctx, func() {
		if cmd.Process != nil {
			cmd.Process.Kill()
		}
	})
	defer stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format a node's folder for Kafka: %w: %s", err, tail(out, 500))
	}
	return nil
}

// launch starts the process. Its id is in the file pid: the shell that writes it becomes the Java machine.
func (n *KafkaNode) launch() error {
	log := n.opts.Log
	if log == nil {
		f, err := os.OpenFile(filepath.Join(n.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		defer f.Close()
		log = f
	}
	heap := n.opts.Heap
	if heap == "" {
		heap = "400m"
	}
	os.Remove(n.pidFile())
	args := append([]string{"-c", `echo $$ >pid.new && mv pid.new pid && exec "$@"`, "sh", n.kafka.Release.java},
		n.kafka.Release.args(heap, "kafka.Kafka")...)
	var err error
	n.run, err = guardEnding("KILL", n.dir, nil, log, "/bin/sh",
		append(args, filepath.Join(n.dir, "server.properties"))...)
	return err
}

func (n *KafkaNode) pidFile() string { return filepath.Join(n.dir, "pid") }

// answers says whether all listeners take connections.
func (n *KafkaNode) answers() error {
	addresses := []string{n.Addr()}
	if n.ID < len(n.opts.Extra) {
		for i := range n.opts.Extra[n.ID] {
			addresses = append(addresses, n.Listener(i))
		}
	}
	for _, a := range addresses {
		c, err := net.Dial("tcp", a)
		if err != nil {
			return err
		}
		c.Close()
	}
	return nil
}

// await waits until the node takes connections.
func (n *KafkaNode) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := n.answers()
		if err == nil {
			return nil
		}
		select {
		case <-n.run.done:
			text, _ := os.ReadFile(filepath.Join(n.dir, "log"))
			return fmt.Errorf("Kafka's node %d ended as soon as it was started: %s", n.ID, tail(text, 500))
		default:
		}
		if wait(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("Kafka's node %d was started and does not answer: %w", n.ID, err)
		}
	}
}

// Start starts the node again after Stop.
func (n *KafkaNode) Start(ctx context.Context) error {
	for try := 0; ; try++ {
		err := n.launch()
		if err == nil {
			err = n.await(ctx)
		}
		if err == nil {
			return nil
		}
		if n.run != nil {
			select {
			case <-n.run.done: // right after a SIGKILL a port or a lock may still be held: another try
				if try < 5 && wait(ctx, 500*time.Millisecond) == nil {
					continue
				}
			default:
			}
		}
		return err
	}
}

// Stop ends the node, its files stay: how is term, which lets it close its logs, or kill.
func (n *KafkaNode) Stop(how string) error {
	if n.run == nil {
		return fmt.Errorf("Kafka's node %d is not running", n.ID)
	}
	signals := map[string]syscall.Signal{"term": syscall.SIGTERM, "kill": syscall.SIGKILL}
	if err := n.Signal(signals[how]); err != nil {
		return err
	}
	select {
	case <-n.run.done:
	case <-time.After(30 * time.Second): // a controlled shutdown may wait for a controller that is gone
		if err := n.Signal(syscall.SIGKILL); err != nil {
			return err
		}
		<-n.run.done
	}
	n.run.end()
	n.run = nil
	return nil
}

// Signal sends the process a signal, such as SIGSTOP and SIGCONT.
func (n *KafkaNode) Signal(s syscall.Signal) error {
	text, err := os.ReadFile(n.pidFile())
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return kill(pid, s)
}

// freePorts finds n neighbouring free ports and returns the first.
func freePorts(n int) (int, error) {
	for range 100 {
		first, err := FreePort()
		if err != nil {
			return 0, err
		}
		var held []net.Listener
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+i))
			if err != nil {
				break
			}
			held = append(held, l)
		}
		for _, l := range held {
			l.Close()
		}
		if len(held) == n {
			return first, nil
		}
	}
	return 0, errors.New("no neighbouring free ports")
}
