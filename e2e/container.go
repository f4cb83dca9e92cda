package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// publish binds a container's port to a port of this machine that stays the same when the container is started again.
func publish(containerPort string, hostPort int) testcontainers.CustomizeRequestOption {
	port := network.MustParsePort(containerPort)
	binding := network.PortBinding{HostPort: strconv.Itoa(hostPort)}
	if host := engineHost(); host == "127.0.0.1" {
		binding.HostIP = netip.MustParseAddr(host)
	}
	return func(req *testcontainers.GenericContainerRequest) error {
		req.ExposedPorts = []string{containerPort}
		return testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.PortBindings = network.PortMap{port: {binding}}
		})(req)
	}
}

// SignalContainer sends a signal to a container's process and waits until the container has stopped.
func SignalContainer(ctx context.Context, c testcontainers.Container, signal string) error {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	defer docker.Close()
	id := c.GetContainerID()
	if _, err := docker.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: signal}); err != nil {
		return fmt.Errorf("%s to container %s: %w", signal, id[:12], err)
	}
	return Poll(ctx, func() error {
		state, err := c.State(ctx)
		if err == nil && state.Running {
			return fmt.Errorf("container %s still runs after %s", id[:12], signal)
		}
		return err
	})
}

// Poll asks again, ten times a second, until there is no error or ctx ends; then it returns the last thing that was
// said before ctx cut an answer short.
func Poll(ctx context.Context, ask func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}
