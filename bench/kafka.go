package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"sinker/internal/local"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafka is the broker under measurement.
type kafka struct {
	brokers []string
	how     string // where it came from, for the report
	pid     int    // the broker's process on this machine; 0: not known, and its CPU time is not reported
	client  *kgo.Client
	admin   *kadm.Client
}

// openKafka connects to the given brokers, or starts one.
func openKafka(ctx context.Context, e *env) (*kafka, error) {
	k := &kafka{how: "given"}
	if e.brokers != "" {
		k.brokers = strings.Split(e.brokers, ",")
	} else if err := k.start(ctx, e); err != nil {
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

// start starts one broker of this benchmark's own, with the heap that the official image gives it at most.
func (k *kafka) start(ctx context.Context, e *env) error {
	server, err := local.StartKafka(ctx, local.KafkaOptions{Heap: "512m"})
	if err != nil {
		return fmt.Errorf("%w\nOr give one that runs: -brokers", err)
	}
	e.cleanup = append(e.cleanup, server.Close)
	k.how = "started from " + server.Release.From
	k.brokers = server.Brokers()
	return nil
}

// isLocal says whether a host's name is this machine's loopback.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || host == "" || ip != nil && ip.IsLoopback()
}
