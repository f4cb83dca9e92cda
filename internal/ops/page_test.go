package ops

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sinker/internal/consume"
	"sinker/internal/record"
)

// TestPage opens the page in a browser and reads what a person would.
func TestPage(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		const missing = "no browser: install the package chromium to test the page"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	f := setup(t, working(orders0, consume.PartitionState{Topic: "<b>orders</b>", Partition: 7, Position: 10, End: -1, State: record.Stopped, Reason: "a hole", Command: "sinker offsets set --offset 20"}, waiting), inTrouble(time.Minute))
	f.metrics.Observe(report(time.Now(), 1234))
	cmd := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+filepath.Join(t.TempDir(), "profile"), "--virtual-time-budget=2000", "--dump-dom", f.url+"/")
	cmd.Stderr = io.Discard
	if testing.Verbose() {
		cmd.Stderr = os.Stderr
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`>shop</span>`, `>not ready</span>`, `configuration abc`, `<td class="n">90</td>`, `<td class="bad">stopped</td>`,
		`<b>&lt;b&gt;orders&lt;/b&gt;/7</b> stopped at 10: a hole <code>sinker offsets set --offset 20</code>`,
		`<b>Worker 0</b> since `, `connect: refused`, `<td>not_json</td>`, `<b class="bad">1</b>partitions stopped`, `<b class="warn">1</b>partitions waiting`, `<b>orders/2</b> waiting at 1: no table`, `<td class="warn">waiting</td>`, `<td class="n">1,234</td>`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the page does not show %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
