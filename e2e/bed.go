package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
)

// Bed is what the tests of a package run on: one Kafka and one Postgres, started when the first test asks for them.
// Each test has its own topic, database and pipeline.
type Bed struct {
	Kafka    *Kafka
	Postgres *Postgres
	Network  *testcontainers.DockerNetwork

	once  sync.Once
	err   error
	cases atomic.Int64
}

// Main runs a package's tests on a bed, and removes its containers afterwards, also when the run is interrupted. The
// reaper, one more image to pull and a container with the rights of the engine, is not needed for that.
func (b *Bed) Main(m *testing.M) int {
	if _, set := os.LookupEnv("TESTCONTAINERS_RYUK_DISABLED"); !set {
		os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		b.remove()
		os.Exit(1)
	}()
	defer b.remove()
	defer RemoveBinary()
	return m.Run()
}

// Use returns the running bed. Without a Docker engine, or without the images, it skips the test with the reason; with
// CI=true or SINKER_E2E=required the test fails instead, because nobody reads what was skipped there.
func (b *Bed) Use(t *testing.T) *Bed {
	t.Helper()
	if testing.Short() {
		t.Skip("end-to-end tests take minutes: left out with -short")
	}
	b.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		b.err = b.start(ctx, t)
	})
	if b.err != nil {
		Unavailable(t, b.err)
	}
	return b
}

// Unavailable ends a test for which the machine lacks something: see Use.
func Unavailable(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("SINKER_E2E") == "required" {
		t.Fatalf("end-to-end tests are required here (CI=true or SINKER_E2E=required): %v", err)
	}
	t.Skipf("end-to-end tests need a Docker engine with the images %s and %s: %v", kafkaImage, postgresImage, err)
}

func (b *Bed) start(ctx context.Context, t *testing.T) error {
	client, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("no Docker engine answers: %w", err)
	}
	client.Close()
	begin := time.Now()
	if b.Network, err = network.New(ctx); err != nil {
		return fmt.Errorf("the Docker engine makes no network: %w", err)
	}
	var wg sync.WaitGroup
	var kafkaErr, postgresErr error
	wg.Go(func() { b.Kafka, kafkaErr = startKafka(ctx, b.Network.Name) })
	wg.Go(func() { b.Postgres, postgresErr = startPostgres(ctx, b.Network.Name) })
	wg.Wait()
	if err := errors.Join(kafkaErr, postgresErr); err != nil {
		return err
	}
	t.Logf("Kafka at %s and Postgres at %s after %.1f s", b.Kafka.Addr, b.Postgres.Addr, time.Since(begin).Seconds())
	return nil
}

func (b *Bed) remove() {
	if b.Kafka != nil {
		b.Kafka.remove()
	}
	if b.Postgres != nil {
		b.Postgres.remove()
	}
	if b.Network != nil {
		b.Network.Remove(context.Background())
	}
}

// engineHost is where the engine's published ports are reached.
func engineHost() string {
	if host := os.Getenv("TESTCONTAINERS_HOST_OVERRIDE"); host != "" {
		return host
	}
	if u, err := url.Parse(os.Getenv("DOCKER_HOST")); err == nil && u.Scheme == "tcp" {
		return u.Hostname()
	}
	return "127.0.0.1"
}

// FreePort returns a port that nobody listens on, below those that the kernel gives to outgoing connections: a
// container that is stopped and started again must find it free, and clients must find it under the same port.
func FreePort() (int, error) {
	for port := 20000 + os.Getpid()*37%10000; port < 32000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		if _, taken := given.LoadOrStore(port, true); !taken {
			return port, nil
		}
	}
	return 0, errors.New("no free port from 20000 to 32000")
}

var given sync.Map // ports handed out by this process
