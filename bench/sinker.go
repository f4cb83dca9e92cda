package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sinker/internal/local"
)

// pipeline is a sinker configuration under measurement. All that is not here is at its default.
type pipeline struct {
	name  string // also the consumer group: a new one for every turn
	topic string
	table string
	extra []string // further lines of the sink, for example "key: [id]"
	as    variant
}

// variant is another sinker than the one under measurement, to compare the two in one run.
type variant struct {
	name   string
	binary string   // "": the same
	lines  []string // of configuration
}

// parseVariant reads name[=binary][;line…].
func parseVariant(s string) (v variant) {
	parts := strings.Split(s, ";")
	v.name, v.binary, _ = strings.Cut(parts[0], "=")
	v.lines = parts[1:]
	return v
}

// config writes the pipeline's configuration file.
func (e *env) config(p pipeline) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\n", p.name)
	fmt.Fprintf(&b, "kafka: { brokers: [%s] }\n", strings.Join(e.kafka.brokers, ", "))
	fmt.Fprintf(&b, "postgres: %q\n", e.pg.url)
	fmt.Fprintf(&b, "sinks:\n  - topic: %s\n    table: %s\n", p.topic, p.table)
	for _, line := range p.extra {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	for _, line := range append(e.with[:len(e.with):len(e.with)], p.as.lines...) {
		fmt.Fprintln(&b, line)
	}
	path := filepath.Join(e.dir, "sinker.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return "", fmt.Errorf("cannot write sinker's configuration: %w", err)
	}
	return path, nil
}

// startSinker runs `sinker run` on a pipeline, with the given further arguments.
func (e *env) startSinker(ctx context.Context, p pipeline, args ...string) (*process, error) {
	file, err := e.config(p)
	if err != nil {
		return nil, err
	}
	port, err := local.FreePort()
	if err != nil {
		return nil, err
	}
	http := fmt.Sprintf("127.0.0.1:%d", port)
	cmd := exec.CommandContext(ctx, cmp.Or(p.as.binary, e.sinker),
		append([]string{"run", "-c", file, "--http", http}, args...)...)
	return startProcess(cmd, http)
}
