//go:build failpoints

package failpoint

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// On says whether this build has failpoints.
const On = true

var (
	mu   sync.Mutex
	seen = map[string]int{}
	// armed is "place=action@n", from $SINKER_FAILPOINT: at the nth passage of the place kill, stop (freeze) or error.
	armed = os.Getenv("SINKER_FAILPOINT")
)

// Hit does what is armed for the place: it kills or freezes the process, or returns an error.
func Hit(place string) error {
	name, rest, ok := strings.Cut(armed, "=")
	if !ok || name != place {
		return nil
	}
	action, at, _ := strings.Cut(rest, "@")
	nth, err := strconv.Atoi(at)
	if err != nil {
		nth = 1
	}
	mu.Lock()
	seen[place]++
	n := seen[place]
	mu.Unlock()
	if n != nth {
		return nil
	}
	fmt.Fprintf(os.Stderr, "failpoint %s: %s\n", place, action)
	switch action {
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "error":
		return errors.New("failpoint " + place)
	}
	return nil
}
