package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// newReadyCommand is the probe of the image's HEALTHCHECK and of exec probes: the image holds no shell and no curl.
func newReadyCommand() *cobra.Command {
	var addr string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Ask a running sinker on this host whether it is ready (for health checks)",
		Long: `Asks /readyz of a sinker that runs on this host. Exits 0 when it is ready, and 1, with what
it answered, when it is not or nobody answers. It reads no configuration and changes nothing.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return askReady(ctx, addr)
		},
	}
	cmd.Flags().StringVar(&addr, "http", "127.0.0.1:8080", "address that the running sinker serves /readyz on")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	return cmd
}

// askReady returns nil when the sinker at addr says that it is ready.
func askReady(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usage("--http %q is not host:port: %w", addr, err)
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1" // an address to listen on, as the configuration has it
	}
	url := "http://" + net.JoinHostPort(host, port) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usage("--http %q: %w", addr, err)
	}
	// No proxy: the one asked is on this host.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no sinker answers at %s: %w", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready (%s): %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
