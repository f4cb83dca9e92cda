package ops

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sinker/internal/consume"
	"sinker/internal/printable"
	"sinker/internal/record"
)

// troubleAfter is how long something may be wrong with a worker that has partitions before the process is not ready.
const troubleAfter = 30 * time.Second

// live says whether the loops turn: if one does not, the process is best restarted. A turn may be one transaction, so
// the bound grows with the time a statement may take; waiting for Postgres or Kafka to come back is many turns.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	bound := time.Minute + 10*s.cfg.StatementTimeout
	var stuck []string
	for _, st := range s.states() {
		if still := time.Since(st.At); st.Running && still > bound {
			stuck = append(stuck, fmt.Sprintf("worker %d has not turned for %s", st.Worker, still.Round(time.Second)))
		}
	}
	answer(w, "ok", stuck)
}

// ready says whether records flow, or would. While any partition of a worker is reading, its waiting and stopped ones
// are counted in the answer and nothing more: the others go on.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	var problems []string
	all := stateCounts{}
	for _, st := range s.states() {
		if why := notReady(st); why != "" {
			problems = append(problems, fmt.Sprintf("worker %d: %s", st.Worker, printable.Text(why)))
		}
		all.add(st)
	}
	ok := "ok"
	if all[record.Waiting]+all[record.Stopped] > 0 {
		ok += ": " + all.String()
	}
	answer(w, ok, problems)
}

// stateCounts is how many partitions are in each state.
type stateCounts map[string]int

func (c stateCounts) add(st *consume.WorkerState) {
	for i := range st.Partitions {
		c[st.Partitions[i].State]++
	}
}

func (c stateCounts) String() string {
	return fmt.Sprintf("%d reading, %d waiting, %d stopped", c[record.Reading], c[record.Waiting], c[record.Stopped])
}

// answer says ok, or 503 with what is wrong, a line each.
func answer(w http.ResponseWriter, ok string, problems []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if len(problems) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, strings.Join(problems, "\n")+"\n")
		return
	}
	io.WriteString(w, ok+"\n")
}

// notReady says why a worker is not ready, or nothing. A worker that has been given partitions and could not take
// them yet is not ready at once; one that has worked may be in trouble for a while. One without partitions needs no
// database; one that has some and reads none of them is not ready.
func notReady(st *consume.WorkerState) string {
	switch {
	case !st.Running:
		return "is not running"
	case !st.Joined && st.Refused != "":
		return "has not joined the consumer group: " + st.Refused
	case !st.Joined && st.Trouble != "":
		return st.Trouble
	case !st.Joined:
		return "has not joined the consumer group yet"
	case st.Trouble != "" && (len(st.Partitions) == 0 || time.Since(st.Since) > troubleAfter):
		return st.Trouble
	case st.Trouble != "" || len(st.Partitions) == 0:
		return ""
	}
	counts := stateCounts{}
	if counts.add(st); counts[record.Reading] == 0 {
		return "no partition is reading: " + counts.String()
	}
	return ""
}
