package ops

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"sinker/internal/consume"
	"sinker/internal/printable"
	"sinker/internal/record"
)

// Status is the document of /status.
type Status struct {
	About
	UptimeSeconds float64           `json:"uptime_seconds"`
	Ready         bool              `json:"ready"`
	Totals        Totals            `json:"totals"`
	RowsPerSecond []int64           `json:"rows_per_second"` // of up to 300 full seconds, oldest first
	Workers       []WorkerStatus    `json:"workers"`
	Partitions    []PartitionStatus `json:"partitions"`
	Letters       []Letters         `json:"dead_letters"`
	UnknownFields []UnknownField    `json:"unknown_fields"` // of records, that no column takes
	Batches       []Batch           `json:"batches"`        // the last ones, oldest first
}

// WorkerStatus is a worker in /status.
type WorkerStatus struct {
	Worker     int        `json:"worker"`
	Ready      bool       `json:"ready"`
	Joined     bool       `json:"joined"`
	Connected  bool       `json:"connected"`
	Trouble    string     `json:"trouble,omitempty"`
	Since      *time.Time `json:"trouble_since,omitempty"`
	Partitions int        `json:"partitions"`
	Rebalances int64      `json:"rebalances"`
	Fenced     int64      `json:"fenced"`
	Rewound    int64      `json:"rewound"`
	Retries    int64      `json:"retries"`
	Resolved   int64      `json:"resolved"`
	Discarded  int64      `json:"discarded"`
}

// PartitionStatus is a partition in /status. End and lag are null until the broker has told of the end.
type PartitionStatus struct {
	Topic      string       `json:"topic"`
	Partition  int32        `json:"partition"`
	Worker     int          `json:"worker"`
	Position   int64        `json:"position"`
	End        *int64       `json:"end"`
	Lag        *int64       `json:"lag"`
	LagSeconds float64      `json:"lag_seconds"` // age of the oldest unread record; 0 when there is none
	HeldBack   int64        `json:"held_back"`   // behind an open transaction, and so not part of the lag
	State      string       `json:"state"`       // reading, waiting or stopped
	Reason     string       `json:"reason,omitempty"`
	Hole       *record.Hole `json:"hole,omitempty"`    // the offsets that the reason is about, [from, to)
	Command    string       `json:"command,omitempty"` // that decides what becomes of a stopped one
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	enc := json.NewEncoder(printable.NewWriter(w)) // JSON leaves C1 and DEL as they are, and people read it with curl
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	_ = enc.Encode(s.snapshot()) // plain data; an error is a reader that went away
}

func (s *Server) snapshot() Status {
	now := time.Now()
	doc := Status{About: s.cfg.About, UptimeSeconds: now.Sub(s.started).Seconds(), Ready: true,
		Workers: []WorkerStatus{}, Partitions: []PartitionStatus{}}
	for _, st := range s.states() {
		w := workerStatus(st)
		doc.Ready = doc.Ready && w.Ready
		doc.Workers = append(doc.Workers, w)
		for i := range st.Partitions {
			doc.Partitions = append(doc.Partitions, partitionStatus(st.Worker, &st.Partitions[i]))
		}
	}
	slices.SortFunc(doc.Partitions, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	s.metrics.history.fill(&doc, now, s.started)
	return doc
}

func workerStatus(st *consume.WorkerState) WorkerStatus {
	w := WorkerStatus{Worker: st.Worker, Ready: notReady(st) == "", Joined: st.Joined, Connected: st.Connected,
		Trouble: printable.Text(st.Trouble), Partitions: len(st.Partitions), Rebalances: st.Rebalances, Fenced: st.Fenced,
		Rewound: st.Rewound, Retries: st.Retries, Resolved: st.Resolved, Discarded: st.Discarded}
	if st.Trouble != "" {
		w.Since = &st.Since
	}
	return w
}

func partitionStatus(worker int, p *consume.PartitionState) PartitionStatus {
	out := PartitionStatus{Topic: p.Topic, Partition: p.Partition, Worker: worker, Position: p.Position,
		HeldBack: p.HeldBack, State: p.State, Reason: printable.Text(p.Reason), Command: printable.Text(p.Command)}
	if !p.Hole.Empty() {
		out.Hole = &p.Hole
	}
	if out.Lag, out.LagSeconds = lagOf(p); out.Lag != nil {
		out.End = &p.End
	}
	return out
}
