package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/nearest"
	"sinker/internal/record"
	"sinker/internal/txn"

	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaPatience is how long Status waits for the ends of the logs. What Postgres says is returned anyway.
const kafkaPatience = 3 * time.Second

// StatusReport is where a pipeline stands.
type StatusReport struct {
	Pipeline   string            `json:"pipeline"`
	Partitions []PartitionReport `json:"partitions"`
	Totals     StatusTotals      `json:"totals"`
	KafkaError string            `json:"kafka_error,omitempty"` // why an end or a lag is null

	Standby bool `json:"standby,omitempty"` // the server is one, and may be behind its primary

	LettersQuery string `json:"-"` // SQL that shows the newest dead letters
	Nothing      string `json:"-"` // why there are no positions; empty: there are
}

// Behind is what to know about an answer of a standby.
const Behind = "this server is a standby, and may be behind its primary"

// nothing says that a pipeline has no positions, and which ones have.
func nothing(pipeline string, o *txn.Overview) string {
	if len(o.Partitions) > 0 {
		return ""
	}
	others := "no pipeline has"
	if len(o.Pipelines) > 0 {
		others = "these have: " + strings.Join(o.Pipelines, ", ")
	}
	if near := nearest.Name(pipeline, o.Pipelines); near != "" {
		others = "did you mean " + near + "? " + others
	}
	return fmt.Sprintf("pipeline %s has no positions in this database: it has not run yet, or has another name (%s)",
		pipeline, others)
}

// PartitionReport is where a partition stands.
type PartitionReport struct {
	record.PartitionStatus
	EndOffset *int64   `json:"end_offset"`              // as a read_committed reader sees it
	Lag       *int64   `json:"lag"`                     // in offsets
	RecordAge *float64 `json:"last_record_age_seconds"` // null before the first record
	MoveAge   float64  `json:"updated_age_seconds"`
	Letters   *int64   `json:"dead_letters"` // in sinker.dead_letters now; null when this role may not read it
}

// StatusTotals sum up the partitions.
type StatusTotals struct {
	Consumed int64 `json:"consumed"`
	Written  int64 `json:"written"`
	Filtered int64 `json:"filtered"`
	Dead     int64 `json:"dead"`
	// Suppressed rows are those that the tables' triggers or rules took away.
	Suppressed int64 `json:"suppressed"`

	Lag     *int64 `json:"lag"` // null when that of any partition is not known
	Letters *int64 `json:"dead_letters"`
	Waiting int    `json:"waiting_partitions"`
	Stopped int    `json:"stopped_partitions"`
}

// Status reads where a pipeline stands, from Postgres alone. It adds the ends and the lag when Kafka answers within
// three seconds; otherwise KafkaError says why they are not there.
func Status(ctx context.Context, p *config.Pipeline, build Build) (*StatusReport, error) {
	o, err := txn.Look(ctx, p.Postgres.URL.Reveal(), p.Name)
	if err != nil {
		return nil, err
	}
	r := newStatusReport(p.Name, o)
	r.addEnds(askEnds(ctx, p.Kafka, build, o.Partitions))
	return r, nil
}

// PositionsReport is a pipeline's offset rows.
type PositionsReport struct {
	Rows    []record.PartitionStatus
	Standby bool   // the server is one, and may be behind its primary
	Nothing string // why there are no rows; empty: there are
}

// Positions reads a pipeline's offset rows.
func Positions(ctx context.Context, p *config.Pipeline) (*PositionsReport, error) {
	o, err := txn.Glance(ctx, p.Postgres.URL.Reveal(), p.Name)
	if err != nil {
		return nil, err
	}
	return &PositionsReport{Rows: o.Partitions, Standby: o.Standby, Nothing: nothing(p.Name, o)}, nil
}

var errNotAsked = errors.New("no brokers are given: --brokers, or a configuration file")

// askEnds asks Kafka for the ends of the logs. What it returns together with an error is right, but not complete.
func askEnds(ctx context.Context, k config.Kafka, build Build,
	rows []record.PartitionStatus) (map[record.TopicPartition]int64, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	if len(k.Brokers) == 0 {
		return nil, errNotAsked
	}
	opts, err := kafkaDial(k, build).Options()
	if err != nil {
		return nil, err
	}
	// The client finishes its first request to a broker whatever the context says: so that one has to be short too.
	c := consume.Config{Kafka: append(opts, kgo.RequestTimeoutOverhead(kafkaPatience))}
	for i, r := range rows {
		if i == 0 || r.Topic != rows[i-1].Topic {
			c.Topics = append(c.Topics, r.Topic)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	ends, err := consume.EndOffsets(ctx, c)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%s did not answer within %s", strings.Join(k.Brokers, ","), kafkaPatience)
	}
	return ends, err
}

func newStatusReport(pipeline string, o *txn.Overview) *StatusReport {
	r := &StatusReport{
		Pipeline: pipeline, Partitions: []PartitionReport{}, Standby: o.Standby,
		LettersQuery: txn.LettersQuery(pipeline), Nothing: nothing(pipeline, o),
	}
	if o.Letters != nil {
		r.Totals.Letters = new(int64)
	}
	for _, row := range o.Partitions {
		p := PartitionReport{PartitionStatus: row, MoveAge: max(0, o.Now.Sub(row.UpdatedAt).Seconds())}
		if row.LastTimestamp != nil {
			age := max(0, o.Now.Sub(*row.LastTimestamp).Seconds())
			p.RecordAge = &age
		}
		if o.Letters != nil {
			n := o.Letters[record.TopicPartition{Topic: row.Topic, Partition: row.Partition}]
			p.Letters = &n
			*r.Totals.Letters += n
		}
		r.Totals.add(row)
		r.Partitions = append(r.Partitions, p)
	}
	return r
}

func (t *StatusTotals) add(row record.PartitionStatus) {
	switch row.State {
	case record.Waiting:
		t.Waiting++
	case record.Stopped:
		t.Stopped++
	}
	t.Consumed += row.Consumed
	t.Written += row.Written
	t.Filtered += row.Filtered
	t.Dead += row.Dead
	t.Suppressed += row.Suppressed
}

// addEnds adds what Kafka says.
func (r *StatusReport) addEnds(ends map[record.TopicPartition]int64, err error) {
	if err != nil {
		r.KafkaError = err.Error()
	}
	var total int64
	known := 0
	for i := range r.Partitions {
		p := &r.Partitions[i]
		end, ok := ends[record.TopicPartition{Topic: p.Topic, Partition: p.Partition}]
		if !ok || end < 0 {
			continue
		}
		lag := max(0, end-p.NextOffset)
		p.EndOffset, p.Lag = &end, &lag
		total += lag
		known++
	}
	if known == len(r.Partitions) {
		r.Totals.Lag = &total
	}
}
