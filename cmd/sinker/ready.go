package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"sinker/internal/config"

	"github.com/spf13/cobra"
)

// newReadyCommand is the probe of the image's HEALTHCHECK and of exec probes: the image holds no shell and no curl.
func newReadyCommand() *cobra.Command {
	var addr, file string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Ask a running sinker on this host whether it is ready (for health checks)",
		Long: `Asks /readyz of a sinker that runs on this host. Exits 0 when it is ready, and 1, with what
it answered, when it is not or nobody answers. Where the configuration says http: off there is
nobody to ask: it says so and exits 0. The address is, in this order, that of --http, of
SINKER_HTTP (as for run), and of the configuration: --config, sinker.yaml or /etc/sinker/sinker.yaml.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(excludes(cmd, "http", "config"), positive(cmd, "timeout", timeout)); err != nil {
				return err
			}
			addr, err := readyAddress(cmd.Context(), addr, file)
			if err != nil {
				return err
			}
			if addr == "off" {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "http is off: whether this sinker is ready cannot be asked")
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return askReady(ctx, addr)
		},
	}
	cmd.Flags().StringVar(&addr, "http", "", "address that the running sinker serves /readyz on, host:port (default as above, else 127.0.0.1:8080)")
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file of the running sinker")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	return cmd
}

// httpVariable holds the address for run and ready alike, so that a container's health check finds it.
const httpVariable = "SINKER_HTTP"

// imageConfig is where the image's command looks for the configuration.
const imageConfig = "/etc/sinker/sinker.yaml"

// readyAddress is where the running sinker listens, as its configuration says, or "off".
func readyAddress(ctx context.Context, addr, file string) (string, error) {
	source := "--http"
	if addr == "" {
		addr, source = os.Getenv(httpVariable), httpVariable
	}
	if addr != "" {
		if problem := config.BadHTTP(addr); problem != "" {
			return "", usage("%s %s", source, problem)
		}
		return addr, nil
	}
	for _, path := range []string{"sinker.yaml", imageConfig} {
		if _, err := os.Stat(path); file == "" && err == nil {
			file = path
		}
	}
	if file == "" {
		return "127.0.0.1:8080", nil
	}
	p, err := loadFile(ctx, file)
	if err != nil {
		return "", err
	}
	return p.HTTP, nil
}

// askReady returns nil when the sinker at addr says that it is ready.
func askReady(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s is not host:port: %w", addr, err)
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
