package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"sinker/internal/app"
	"sinker/internal/config"

	"github.com/spf13/cobra"
)

func init() { register(newReadyCommand) }

// newReadyCommand is the probe of the image's HEALTHCHECK and of exec probes: the image holds no shell and no curl.
func newReadyCommand() *cobra.Command {
	var addr, file string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Ask a running sinker on this host whether it is ready (for health checks)",
		Long: `Asks /readyz of a sinker that runs on this host. Exits with code 0 when it is ready, and with
code 1 and the answer when it is not, or when nobody answers. With http: off in the
configuration nobody can be asked: it says so and exits with code 0.

The address is the first of these that is given: --http, SINKER_HTTP (as for run), http of the
configuration (--config, sinker.yaml or /etc/sinker/sinker.yaml).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(excludes(cmd, "http", "config"), positive(cmd, "timeout", timeout)); err != nil {
				return err
			}
			addr, err := readyAddress(cmd.Context(), addr, file)
			if err != nil {
				return err
			}
			if addr == "off" {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "http is off: sinker cannot be asked whether it is ready")
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return app.AskReady(ctx, addr)
		},
	}
	cmd.Flags().StringVar(&addr, "http", "", "address that the running sinker serves /readyz on, host:port (default "+
		"as above, else 127.0.0.1:8080)")
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
