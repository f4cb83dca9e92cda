package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaImage is what is started when a Docker engine answers and nothing else was found.
const kafkaImage = "apache/kafka:4.1.0"

// kafka is the broker under measurement.
type kafka struct {
	brokers []string
	how     string // where it came from, for the report
	pid     int    // the broker's process on this machine; 0: not known, and its CPU time is not reported
	client  *kgo.Client
	admin   *kadm.Client
}

// openKafka connects to the given brokers, or starts one: by the program in $SINKER_KAFKA, by $KAFKA_HOME, or by Docker.
func openKafka(ctx context.Context, e *env) (*kafka, error) {
	k := &kafka{how: "given"}
	var err error
	switch home, program := os.Getenv("KAFKA_HOME"), os.Getenv("SINKER_KAFKA"); {
	case e.brokers != "":
		k.brokers = strings.Split(e.brokers, ",")
	case program != "":
		err = k.startProgram(ctx, e, program)
	case home != "":
		err = k.startHome(ctx, e, home)
	case exec.CommandContext(ctx, "docker", "version").Run() == nil:
		err = k.startDocker(ctx, e)
	default:
		err = errors.New("no Kafka: give -brokers, or install one: unpack a Kafka 4 release and set KAFKA_HOME to its directory (it needs Java 17), or start a Docker engine")
	}
	if err != nil {
		return nil, err
	}
	return k, k.connect(ctx, e)
}

// connect waits until the brokers answer and finds the broker's process.
func (k *kafka) connect(ctx context.Context, e *env) error {
	var err error
	if k.client, err = kgo.NewClient(kgo.SeedBrokers(k.brokers...)); err != nil {
		return fmt.Errorf("cannot make a Kafka client: %w", err)
	}
	e.cleanup = append(e.cleanup, func() error { k.client.Close(); return nil })
	k.admin = kadm.NewClient(k.client)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if err = k.client.Ping(ctx); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("Kafka at %s does not answer: %w", strings.Join(k.brokers, ","), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
	if k.pid == 0 {
		host, port, _ := net.SplitHostPort(k.brokers[0])
		if n, err := strconv.Atoi(port); err == nil && isLocal(host) {
			k.pid = listener(n)
		}
	}
	return nil
}

// startProgram runs "PROGRAM start -d DIR -p PORT", whose last line of output is the brokers, and later "PROGRAM stop -d DIR".
func (k *kafka) startProgram(ctx context.Context, e *env, program string) error {
	port, err := freePorts(2)
	if err != nil {
		return err
	}
	k.how = "started by $SINKER_KAFKA"
	dir := filepath.Join(e.dir, "kafka")
	cmd := exec.CommandContext(ctx, program, "start", "-d", dir, "-p", strconv.Itoa(port))
	cmd.Stderr = e.progress
	out, err := cmd.Output()
	e.cleanup = append(e.cleanup, func() error {
		err := exec.Command(program, "stop", "-d", dir).Run()
		nodes, _ := filepath.Glob(filepath.Join(dir, "node-*"))
		for _, n := range nodes {
			err = errors.Join(err, os.RemoveAll(n))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s start: %w", program, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	k.brokers = strings.Split(lines[len(lines)-1], ",")
	return nil
}

// startHome runs one combined broker and controller from an unpacked Kafka release.
func (k *kafka) startHome(ctx context.Context, e *env, home string) error {
	port, err := freePorts(2)
	if err != nil {
		return err
	}
	k.how = "started from $KAFKA_HOME"
	k.brokers = []string{fmt.Sprintf("127.0.0.1:%d", port)}
	dir := filepath.Join(e.dir, "kafka")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var b strings.Builder
	for key, value := range brokerSettings(port) {
		fmt.Fprintf(&b, "%s=%s\n", key, value)
	}
	fmt.Fprintf(&b, "log.dirs=%s\n", filepath.Join(dir, "data"))
	properties := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(properties, []byte(b.String()), 0o644); err != nil {
		return err
	}
	id := make([]byte, 16)
	rand.Read(id)
	id[0] &= 0x7f // its text must not begin with a dash: that would be an option
	format := exec.CommandContext(ctx, filepath.Join(home, "bin", "kafka-storage.sh"), "format",
		"-t", base64.RawURLEncoding.EncodeToString(id), "-c", properties)
	if out, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("kafka-storage.sh format: %w\n%s", err, out)
	}
	server := exec.Command(filepath.Join(home, "bin", "kafka-server-start.sh"), properties)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return fmt.Errorf("kafka-server-start.sh: %w", err)
	}
	e.cleanup = append(e.cleanup, func() error {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait() // a JVM that was asked to stop exits 143
		log.Close()
		return os.RemoveAll(dir)
	})
	return nil
}

// startDocker runs the official image in the host's network: a published port would put a proxy's work into the measurement.
func (k *kafka) startDocker(ctx context.Context, e *env) error {
	port, err := freePorts(2)
	if err != nil {
		return err
	}
	k.how = "started with Docker, " + kafkaImage
	k.brokers = []string{fmt.Sprintf("127.0.0.1:%d", port)}
	args := []string{"run", "-d", "--rm", "--network", "host", "-e", "KAFKA_HEAP_OPTS=-Xmx512m"}
	for key, value := range brokerSettings(port) {
		args = append(args, "-e", "KAFKA_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))+"="+value)
	}
	out, err := exec.CommandContext(ctx, "docker", append(args, kafkaImage)...).Output()
	if err != nil {
		return fmt.Errorf("docker run %s: %w%s", kafkaImage, err, stderrOf(err))
	}
	id := strings.TrimSpace(string(out))
	e.cleanup = append(e.cleanup, func() error { return exec.Command("docker", "rm", "-f", "-v", id).Run() })
	out, err = exec.CommandContext(ctx, "docker", "inspect", "-f", "{{.State.Pid}}", id).Output()
	if err == nil {
		k.pid, _ = strconv.Atoi(strings.TrimSpace(string(out)))
	}
	return nil
}

// brokerSettings are the settings of a one-node Kafka on 127.0.0.1, its controller on the next port.
func brokerSettings(port int) map[string]string {
	return map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  "1",
		"controller.quorum.voters":                 fmt.Sprintf("1@127.0.0.1:%d", port+1),
		"listeners":                                fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", port, port+1),
		"advertised.listeners":                     fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", port),
		"controller.listener.names":                "CONTROLLER",
		"listener.security.protocol.map":           "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"offsets.topic.replication.factor":         "1",
		"transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr":            "1",
		"group.initial.rebalance.delay.ms":         "0",
	}
}

// freePorts finds n neighbouring TCP ports of 127.0.0.1 that nothing listens on, and returns the first.
func freePorts(n int) (int, error) {
	for range 100 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("no free port: %w", err)
		}
		port, held := first.Addr().(*net.TCPAddr).Port, []net.Listener{first}
		for i := 1; i < n; i++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if err != nil {
				break
			}
			held = append(held, l)
		}
		for _, l := range held {
			l.Close()
		}
		if len(held) == n {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no %d neighbouring free ports", n)
}

// isLocal says whether a host's name is this machine's loopback.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || host == "" || ip != nil && ip.IsLoopback()
}

// stderrOf is what a failed command said, on a line of its own.
func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return "\n" + string(exit.Stderr)
	}
	return ""
}
