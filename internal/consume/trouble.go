package consume

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kerr"
)

// backoff is the wait between attempts. It doubles from 50 ms to 3 s, less up to a quarter at
// random. The maximum is low, so that a database that is back is noticed within 5 s.
type backoff struct{ d time.Duration }

func newBackoff() *backoff { return &backoff{} }

func (b *backoff) next() time.Duration {
	b.d = min(max(2*b.d, 50*time.Millisecond), 3*time.Second)
	return b.d - time.Duration(rand.Int64N(int64(b.d)/4+1))
}

const changedGap = 5 * time.Second // least time between two log lines about one trouble whose texts differ

// trouble logs an error once, again every 30 s while it lasts, and once when it is over.
type trouble struct {
	since   time.Time
	said    time.Time
	err     error
	backoff backoff
}

func (t *trouble) met(w *Worker, err error) {
	now := time.Now()
	if t.since.IsZero() {
		t.since = now
	}
	quiet := changedGap // texts may differ only in a time or a port
	if t.err != nil && t.err.Error() == err.Error() {
		quiet = sayAgain
	}
	t.err = err
	if now.Sub(t.said) < quiet {
		return
	}
	t.said = now
	level := w.cfg.Log.Warn
	if f, ok := record.FailureOf(err); ok && f.Class != record.Retry && f.Class != record.Timeout {
		level = w.cfg.Log.Error
	}
	level(retrying, "worker", w.id, "since", t.since.Round(time.Millisecond), "err", err)
}

// retrying is the log message while Kafka or Postgres does not answer.
const retrying = "waiting and trying again; nothing is lost, nothing is written twice"

func (t *trouble) over(w *Worker) {
	if t.since.IsZero() {
		return
	}
	w.cfg.Log.Info("reading again", "worker", w.id, "after", time.Since(t.since).Round(time.Millisecond))
	*t = trouble{}
}

// errInstanceFenced is the end of a membership because another member joined with its static id.
var errInstanceFenced = errors.New("another process has joined the group with the same instance id")

// refusedByGroup logs why this worker gets no partitions: at once, and every 30 s while it lasts.
// It runs on the member's watching goroutine. The assignment keeps the reason until the group
// assigns partitions.
func (w *Worker) refusedByGroup(err error) {
	said := w.assign.refuse(err)
	if said {
		w.cfg.Log.Error("worker waiting to join the group; trying again", "worker", w.id, "group", w.cfg.Group, "reason", err)
	}
}

// memberFailed classifies an error of the group client, which continues by itself after nearly all
// of them.
func (w *Worker) memberFailed(topic string, err error, failed chan<- error) {
	fatal := func(err error) {
		select {
		case failed <- err:
		default:
		}
		w.assign.nudge()
	}
	switch {
	case errors.Is(err, kerr.FencedInstanceID):
		fatal(errInstanceFenced)
	case errors.Is(err, kerr.InconsistentGroupProtocol):
		w.refusedByGroup(fmt.Errorf("the members of group %s write to another database, so this one is kept out and "+
			"loads nothing: "+
			"give the pipeline a name of its own (name: in the configuration), or stop those members if this pipeline has "+
			"moved (%w)",
			w.cfg.Group, err))
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		w.refusedByGroup(fmt.Errorf("Kafka does not let this user join group %s (%w): allow it, for example with "+
			"kafka-acls.sh --add --operation Read --group %s", w.cfg.Group, err, w.cfg.Group))
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		w.refusedByGroup(fmt.Errorf("Kafka does not let this user see topic %s (%w): allow it to describe and to read "+
			"the topic", topic, err))
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		w.refusedByGroup(fmt.Errorf("Kafka refuses this user: check kafka.sasl (%w)", err))
	default:
		w.cfg.Log.Debug("group session ended; joining again", "worker", w.id, "err", err)
	}
}
