package txn

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// smallDisk mounts a few megabytes that the server may fill. It needs root; elsewhere the test is skipped.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a full disk is made with a small tmpfs, which needs root")
	}
	dir, err := os.MkdirTemp("", "sinker-disk-")
	if err != nil {
		t.Fatal(err)
	}
	options := "size=8m,mode=0777"
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			options += fmt.Sprintf(",uid=%d", uid)
			break
		}
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "none", dir).CombinedOutput(); err != nil {
		os.Remove(dir)
		t.Skipf("a full disk is made with a small tmpfs, which cannot be mounted here: %s", out)
	}
	t.Cleanup(func() {
		exec.Command("umount", dir).Run()
		os.Remove(dir)
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	disk := smallDisk(t)
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLoader(t, "", Config{Sinks: []Sink{orders()}})
	space := "s" + l.one(`SELECT current_database()`)
	l.exec(`CREATE TABLESPACE ` + space + ` LOCATION '` + disk + `'`)
	t.Cleanup(func() {
		l.exec(`DROP TABLE orders`)
		l.exec(`DROP TABLESPACE ` + space)
	})
	l.exec(`CREATE TABLE orders (note text) TABLESPACE ` + space)
	l.exec(`ALTER TABLE orders ALTER note SET STORAGE EXTERNAL`)
	big := make([]string, 200)
	for i := range big {
		big[i] = fmt.Sprintf(`{"note":"%d%s"}`, i, strings.Repeat("x", 50_000))
	}
	_, err := l.commit(big...)
	var e *Error
	if !errors.As(err, &e) || e.Class != Resource || !strings.Contains(err.Error(), "free disk space") {
		t.Fatalf("got %v, want an error about the full disk", err)
	}
	l.want(`SELECT next_offset || ' ' || (SELECT count(*) FROM sinker.dead_letters) FROM sinker.offsets`, "0 0")
	if err := os.Remove(ballast); err != nil { // somebody makes room
		t.Fatal(err)
	}
	l.mustCommit(big[:3]...)
	l.want(`SELECT count(*) FROM orders`, "3")
}
