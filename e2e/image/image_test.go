package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sinker/e2e"

	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
)

// The image runs as nobody in particular, on a read-only file system without any capability, becomes healthy, loads, is
// killed and goes on, and exits 0 on SIGTERM.
func TestImage(t *testing.T) {
	b := bed.Use(t)
	needImage(t)
	ctx := t.Context()
	c := b.NewCase(t, "image", 4)
	if err := c.Load.Plain(ctx, 50_000); err != nil {
		t.Fatal(err)
	}
	sinker := start(t, b, c.YAML(e2e.Settings{KafkaAddr: b.Kafka.Inside, PostgresURL: b.Postgres.InsideURL(c.Name)}))
	c.Drained(time.Minute, c.Name)
	c.Until(time.Minute, "HEALTHCHECK healthy", func(ctx context.Context) error { return healthy(ctx, sinker) })
	uid(t, sinker)

	if err := e2e.SignalContainer(ctx, sinker, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if err := c.Load.Plain(ctx, 50_000); err != nil {
		t.Fatal(err)
	}
	if err := sinker.Start(ctx); err != nil {
		t.Fatal(err)
	}
	c.Drained(time.Minute, c.Name)

	if err := e2e.SignalContainer(ctx, sinker, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	state, err := sinker.State(ctx)
	if err != nil || state.ExitCode != 0 {
		t.Errorf("after SIGTERM: exit code %d (error %v), want 0", state.ExitCode, err)
	}
	c.EveryRecord(c.Verify(e2e.Check{Pipeline: c.Name, Topic: c.Name, Table: "records"}))
}

// start runs the image with a configuration where its CMD looks for it.
func start(t *testing.T, b *e2e.Bed, yaml string) testcontainers.Container {
	t.Helper()
	c, err := testcontainers.Run(t.Context(), tag, network.WithNetworkName([]string{"sinker"}, b.Network.Name),
		testcontainers.WithFiles(testcontainers.ContainerFile{Reader: strings.NewReader(yaml), ContainerFilePath: "/etc/sinker/sinker.yaml", FileMode: 0o444}),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.CapDrop, h.SecurityOpt = []string{"ALL"}, []string{"no-new-privileges:true"}
		}))
	testcontainers.CleanupContainer(t, c, testcontainers.StopTimeout(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		if log, err := c.Logs(context.Background()); err == nil {
			defer log.Close()
			text, _ := io.ReadAll(log)
			t.Logf("what the container printed:\n%s", text)
		}
	})
	return c
}

func healthy(ctx context.Context, c testcontainers.Container) error {
	state, err := c.State(ctx)
	switch {
	case err != nil:
		return err
	case state.Health == nil:
		return errors.New("the image has no HEALTHCHECK")
	case state.Health.Status != container.Healthy:
		said := ""
		if n := len(state.Health.Log); n > 0 {
			said = state.Health.Log[n-1].Output
		}
		return fmt.Errorf("%s: %s", state.Health.Status, said)
	}
	return nil
}

// uid holds who the process is, as the host sees it.
func uid(t *testing.T, c testcontainers.Container) {
	t.Helper()
	out, err := exec.Command("docker", "top", c.GetContainerID(), "-o", "uid,pid,comm").CombinedOutput()
	if err != nil {
		t.Fatalf("docker top: %v: %s", err, out)
	}
	fields := strings.Fields(tailLine(string(out)))
	if len(fields) < 3 || fields[0] != "65532" {
		t.Errorf("the process is %q, want user 65532", fields)
	}
}

func tailLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// The image holds the binary, CA certificates, and nothing else; the binary is static and knows time zones.
func TestImageHolds(t *testing.T) {
	needImage(t)
	id, err := exec.Command("docker", "create", tag).Output()
	if err != nil {
		t.Fatalf("docker create: %v", err)
	}
	name := strings.TrimSpace(string(id))
	defer exec.Command("docker", "rm", name).Run()
	out, err := exec.Command("bash", "-c", "docker export "+name+" | tar -tf -").Output()
	if err != nil {
		t.Fatalf("docker export: %v", err)
	}
	// The engine itself adds these to every container.
	added := map[string]bool{".dockerenv": true, "dev/": true, "etc/": true, "proc/": true, "sys/": true, "dev/console": true, "dev/pts/": true, "dev/shm/": true,
		"etc/hostname": true, "etc/hosts": true, "etc/mtab": true, "etc/resolv.conf": true}
	want := map[string]bool{"sinker": true, "etc/ssl/": true, "etc/ssl/certs/": true, "etc/ssl/certs/ca-certificates.crt": true}
	for _, f := range strings.Fields(string(out)) {
		if !added[f] && !want[f] {
			t.Errorf("the image holds %s", f)
		}
		delete(want, f)
	}
	for f := range want {
		t.Errorf("the image lacks %s", f)
	}
	version, err := exec.Command("docker", "run", "--rm", "--read-only", "--network", "none", tag, "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(version), "sinker ") {
		t.Errorf("sinker version: %v: %s", err, version)
	}
}
