package ops

import (
	"testing"
	"time"

	"sinker/internal/consume"
)

func TestReady(t *testing.T) {
	for _, test := range []struct {
		name  string
		state *consume.WorkerState
		code  int
		text  string
	}{
		{"Working", working(orders0), 200, "ok"},
		{"WithoutPartitionsNeedsNoDatabase", &consume.WorkerState{At: time.Now(), Running: true, Joined: true}, 200, "ok"},
		{"NotJoined", &consume.WorkerState{At: time.Now(), Running: true}, 503, "worker 0: has not joined the consumer group yet"},
		{"NotRunning", &consume.WorkerState{}, 503, "is not running"},
		{"DatabaseDownSinceTheStart", inTrouble(time.Second), 503, "connect: refused"},
		{"DatabaseDownForAMoment", inTrouble(time.Second, orders0), 200, "ok"},
		{"DatabaseDownForLong", inTrouble(time.Minute, orders0), 503, "connect: refused"},
		{"SomeRead", working(orders0, stopped, waiting), 200, "ok: 1 reading, 1 waiting, 1 stopped"},
		{"NoneReads", working(stopped, waiting), 503, "worker 0: no partition is reading: 0 reading, 1 waiting, 1 stopped"},
		{"DatabaseDownForAMomentAndOneStopped", inTrouble(time.Second, stopped), 200, "ok"},
	} {
		t.Run(test.name, func(t *testing.T) { setup(t, test.state).want("/readyz", test.code, test.text) })
	}
	t.Run("NamesEveryWorkerThatIsNot", func(t *testing.T) {
		f := setup(t, &consume.WorkerState{Worker: 1, Running: true}, working(), &consume.WorkerState{Worker: 2})
		f.want("/readyz", 503, "worker 1: has not joined the consumer group yet\nworker 2: is not running\n")
	})
}

func TestLive(t *testing.T) {
	turned := func(ago time.Duration) *consume.WorkerState {
		s := working(orders0)
		s.At = time.Now().Add(-ago)
		return s
	}
	t.Run("Turning", func(t *testing.T) { setup(t, turned(time.Second)).want("/livez", 200, "ok") })
	t.Run("InALongTransaction", func(t *testing.T) { setup(t, turned(100*time.Second)).want("/livez", 200, "ok") })
	t.Run("Stuck", func(t *testing.T) {
		setup(t, turned(10*time.Minute)).want("/livez", 503, "worker 0 has not turned for 10m0s")
	})
	t.Run("StatementTimeoutIsLong", func(t *testing.T) {
		f := setup(t, turned(10*time.Minute))
		f.server.cfg.StatementTimeout = 5 * time.Minute
		f.want("/livez", 200, "ok")
	})
	t.Run("WaitingForPostgresIsTurning", func(t *testing.T) { setup(t, inTrouble(time.Hour)).want("/livez", 200, "ok") })
	t.Run("Ended", func(t *testing.T) { setup(t, &consume.WorkerState{}).want("/livez", 200, "ok") })
}
