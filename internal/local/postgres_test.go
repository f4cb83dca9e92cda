package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sinker/internal/local/await"

	"github.com/jackc/pgx/v5"
)

// helper names what this test binary does instead of running tests: it is then the process that dies.
const helper = "SINKER_TEST_HELPER"

func TestMain(m *testing.M) {
	if what := os.Getenv(helper); what != "" {
		os.Exit(dieWithServer(what))
	}
	os.Exit(m.Run())
}

// dieWithServer starts a server and a folder, says where they are, and ends in the given way without a word to them.
func dieWithServer(how string) int {
	p, err := StartPostgres(context.Background(), PostgresOptions{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	dir, _, err := TempDir("sinker-test-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if how == "stopped" {
		if err := p.Stop("fast"); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	pid, _ := p.PID()
	fmt.Println(p.Dir(), dir, p.port, pid)
	if how == "exit" {
		return 0
	}
	select {}
}

// start starts a server, and skips the test where there is none, unless that is in CI.
func start(t *testing.T, opts PostgresOptions) *Postgres {
	t.Helper()
	p, err := StartPostgres(context.Background(), opts)
	if errors.Is(err, ErrNoPostgres) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func show(t *testing.T, p *Postgres, setting string) (s string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, "SHOW "+setting).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPostgres(t *testing.T) {
	p := start(t, PostgresOptions{Settings: map[string]string{"max_connections": "17"}})
	if s := show(t, p, "max_connections"); s != "17" {
		t.Errorf("max_connections = %s", s)
	}
	if s := show(t, p, "fsync"); s != "off" {
		t.Errorf("fsync = %s", s)
	}
	t.Logf("Postgres %s, of %s", show(t, p, "server_version"), p.Bin()) // .ci/run prints it
	url := p.URL("postgres")
	for _, mode := range []string{"fast", "immediate", "kill"} {
		if err := p.Restart(context.Background(), mode); err != nil {
			t.Fatalf("restart %s: %v", mode, err)
		}
		if s := show(t, p, "max_connections"); s != "17" {
			t.Errorf("after restart %s: max_connections = %s", mode, s)
		}
		if p.URL("postgres") != url {
			t.Errorf("after restart %s it is at %s, not %s", mode, p.URL("postgres"), url)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.Dir()); !os.IsNotExist(err) {
		t.Errorf("its folder is still there: %v", err)
	}
}

// A clone is made while the server runs, follows it, and can take over.
func TestClone(t *testing.T) {
	ctx := context.Background()
	p := start(t, PostgresOptions{})
	if _, err := os.Stat(filepath.Join(p.Bin(), "pg_basebackup")); err != nil {
		t.Skip("this server came without pg_basebackup")
	}
	run := func(p *Postgres, sql string) (n int) {
		t.Helper()
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if err := conn.QueryRow(ctx, sql).Scan(&n); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return n
	}
	c, err := p.Clone(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if run(c, `SELECT pg_is_in_recovery()::int`) != 1 {
		t.Fatal("the clone is no standby")
	}
	run(p, `SELECT lo_create(12345)::int`)
	await.Until(t, "the clone to follow", func() bool { return run(c, `SELECT count(*) FROM pg_largeobject_metadata`) == 1 })
	if err := p.Stop("kill"); err != nil {
		t.Fatal(err)
	}
	run(c, `SELECT pg_promote()::int`)
	if run(c, `SELECT lo_create(12346)::int`) != 12346 {
		t.Error("the clone takes no writes")
	}
}

func TestPostgresThatCanNotStart(t *testing.T) {
	t.Run("WrongSetting", func(t *testing.T) {
		start(t, PostgresOptions{}) // skips where there is no Postgres
		tmp := ownTemp(t)
		_, err := StartPostgres(context.Background(), PostgresOptions{Settings: map[string]string{"no_such_setting": "1"}})
		if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
			t.Errorf("error %v does not name the setting", err)
		}
		onlyIn(t, tmp)
	})

	t.Run("Interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		tmp := ownTemp(t)
		_, err := StartPostgres(ctx, PostgresOptions{})
		if errors.Is(err, ErrNoPostgres) && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		onlyIn(t, tmp)
	})
}

// ownTemp gives the test a temporary folder that nobody else uses, and that a server run as another user gets into.
func ownTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sinker-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	return dir
}

// Whatever a process dies of, its server dies too, and their folders go.
func TestServerEndsWithItsProcess(t *testing.T) {
	start(t, PostgresOptions{}) // skips where there is no Postgres
	for _, how := range []string{"exit", "kill", "frozen", "stopped"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), helper+"="+how)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, _ := bufio.NewReader(out).ReadString('\n')
			var pgDir, dir string
			var port, pid int
			if _, err := fmt.Sscan(line, &pgDir, &dir, &port, &pid); err != nil && how != "stopped" {
				cmd.Process.Kill()
				t.Fatalf("the helper said %q: %v", line, err)
			}
			if how == "frozen" {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Error(err)
				}
			}
			if how != "exit" {
				cmd.Process.Kill()
			}
			cmd.Wait()
			await.Until(t, pgDir+" and "+dir+" gone, no answer", func() bool {
				c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
				if err == nil {
					c.Close()
				}
				return gone(pgDir) && gone(dir) && err != nil
			})
		})
	}
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return path != "" && os.IsNotExist(err)
}
