package demo

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// child is the loader: this program, run as a process of its own.
type child struct {
	cmd   *exec.Cmd
	alive io.Closer     // its standard input: when it closes, the loader ends
	done  chan struct{} // closed when it has ended
	err   error         // how; valid when done is closed
}

// startChild starts the real `sinker run`.
func (d *demo) startChild() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(d.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, "run", "-c", d.configFile(), "--with-parent")
	cmd.Stdout, cmd.Stderr = log, log
	// its lock files go with the folder
	cmd.Env = append(os.Environ(), "SINKER_CPUPROFILE=", "SINKER_HTTP=", "TMPDIR="+d.dir)
	ownGroup(cmd)
	alive, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c := &child{cmd: cmd, alive: alive, done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	d.child = c
	d.defers(c.kill)
	return nil
}

// patience is how long the demonstration waits for something that must come before it gives up.
const patience = 60 * time.Second

// stop asks the loader to end and waits for it.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-c.done:
		return c.err
	case <-time.After(patience):
		return errors.New("it did not end after SIGTERM")
	}
}

// kill ends it the hard way, if it still runs, and waits until it is gone.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.alive.Close()
	<-c.done
}
