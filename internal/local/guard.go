package local

import (
	"io"
	"os"
	"os/exec"
	"sync"
)

// watchdog starts a program, and when its own standard input closes it ends the program and removes $DIR. The kernel
// closes that when this process ends, be it by SIGKILL. A program that was frozen is woken to die.
const watchdog = `exec 3<&0
"$@" 3<&- </dev/null & program=$!
{ read -r word <&3; trap '' TERM; kill -$END $program; kill -CONT $program; true; } 2>/dev/null & reader=$!
wait $program
status=$?
kill $reader 2>/dev/null
wait $reader 2>/dev/null && rm -rf "$DIR"
exit $status`

// guarded is a program under a watchdog.
type guarded struct {
	alive io.Closer // the watchdog's standard input
	once  sync.Once
	done  chan struct{} // closed when both have ended
	err   error         // how the program ended; valid when done is closed
}

// guard starts a program in folder dir, as the user cred. If it still runs when this process ends, or at end, it is
// ended and dir is removed. A Ctrl-C on the terminal does not reach it.
func guard(dir string, cred *credential, out io.Writer, program string, args ...string) (*guarded, error) {
	return guardEnding("QUIT", dir, cred, out, program, args...)
}

// guardEnding is guard for a program that does not end by SIGQUIT: a Java machine takes that for a question.
func guardEnding(signal, dir string, cred *credential, out io.Writer, program string, args ...string) (*guarded,
	error) {
	stdin, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", watchdog, "sh", program}, args...)...)
	cmd.Env = append(os.Environ(), "DIR="+dir, "END="+signal, "LC_ALL=C")
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = stdin, out, out, dir
	cred.apply(cmd)
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		alive.Close()
		return nil, err
	}
	g := &guarded{alive: alive, done: make(chan struct{})}
	go func() {
		g.err = cmd.Wait()
		close(g.done)
	}()
	return g, nil
}

// end ends the program if it still runs, and waits until it has ended.
func (g *guarded) end() {
	g.once.Do(func() { g.alive.Close() })
	<-g.done
}

// TempDir makes a temporary folder that remove removes, and that the end of this process removes too, however it ends.
func TempDir(prefix string) (dir string, remove func(), err error) { return tempDir("", prefix) }

func tempDir(parent, prefix string) (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp(parent, prefix); err != nil {
		return "", nil, err
	}
	stdin, alive, err := os.Pipe()
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	defer stdin.Close()
	cmd := exec.Command("/bin/sh", "-c", `read -r word; rm -rf "$DIR"`)
	cmd.Env = append(os.Environ(), "DIR="+dir)
	cmd.Stdin = stdin
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		alive.Close()
		os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, sync.OnceFunc(func() {
		alive.Close()
		cmd.Wait()
		os.RemoveAll(dir)
	}), nil
}
