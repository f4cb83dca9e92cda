package main

import (
	"strings"
	"testing"
)

// TestUnencryptedIsSaid: run and check warn of a connection that others can listen to before they connect, and only of
// such a one.
func TestUnencryptedIsSaid(t *testing.T) {
	s := newStage(t, "")
	const warning = "can be read and changed on the way"
	far := "?connect_timeout=1&sslmode="
	for _, mode := range []string{"disable", "allow", "prefer"} {
		for _, command := range [][]string{{"run", "--until-end"}, {"check"}} {
			r := s.sinker(append(command, "--brokers", s.brokers, "--topic", "orders", "--to", "postgres://u@database.invalid/x"+far+mode)...)
			r.want(t, exitUnavailable, warning)
		}
	}
	for _, url := range []string{"postgres://u@database.invalid/x" + far + "verify-full", "postgres://u@" + deadPort(t) + "/x" + far + "disable"} {
		r := s.sinker("run", "--until-end", "--brokers", s.brokers, "--topic", "orders", "--to", url)
		if r.want(t, exitUnavailable, "connect"); strings.Contains(r.out+r.errors, warning) {
			t.Errorf("%s: %s", url, r.errors)
		}
	}
}
