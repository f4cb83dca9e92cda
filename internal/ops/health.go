package ops

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sinker/internal/consume"
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
	answer(w, stuck)
}

// ready says whether records flow, or would. A stopped partition is not the process's readiness: the others go on.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	var waiting []string
	for _, st := range s.states() {
		if why := notReady(st); why != "" {
			waiting = append(waiting, fmt.Sprintf("worker %d: %s", st.Worker, why))
		}
	}
	answer(w, waiting)
}

// answer says ok, or 503 with what is wrong, a line each.
func answer(w http.ResponseWriter, problems []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if len(problems) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, strings.Join(problems, "\n")+"\n")
		return
	}
	io.WriteString(w, "ok\n")
}

// notReady says why a worker is not ready, or nothing. A worker that has been given partitions and could not take them
// yet is not ready at once; one that has worked may be in trouble for a while. One without partitions needs no database.
func notReady(st *consume.WorkerState) string {
	switch {
	case !st.Running:
		return "is not running"
	case !st.Joined:
		return "has not joined the consumer group yet"
	case st.Trouble != "" && (len(st.Partitions) == 0 || time.Since(st.Since) > troubleAfter):
		return st.Trouble
	}
	return ""
}
