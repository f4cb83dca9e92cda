package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/txn"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaPatience is how long status waits for the ends of the logs. What Postgres says is shown anyway.
const kafkaPatience = 3 * time.Second

func newStatusCommand() *cobra.Command {
	var f pipelineFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show positions, totals and lag; works while sinker is down",
		Long: `Shows where the pipeline stands, from Postgres alone, whether sinker is running or not. When
Kafka answers within three seconds the ends of the logs and the lag are shown too.`,
		Example: `  sinker status -c sinker.yaml
  DATABASE_URL=… sinker status --name orders-to-pg`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := f.loadDatabase()
			if err != nil {
				return err
			}
			o, err := txn.Look(cmd.Context(), p.Postgres.URL.Reveal(), p.Name)
			if err != nil {
				return err
			}
			r := newStatusReport(p.Name, o)
			r.addEnds(askEnds(cmd.Context(), p.Kafka, o.Partitions))
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return r.print(cmd.OutOrStdout())
		},
	}
	f.addDatabase(cmd)
	f.addBrokers()
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

var errNotAsked = errors.New("no brokers are given: --brokers, or a configuration file")

// askEnds asks Kafka for the ends of the logs. What it returns beside an error is right, though not all.
func askEnds(ctx context.Context, k config.Kafka, rows []txn.PartitionStatus) (map[txn.TopicPartition]int64, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	if len(k.Brokers) == 0 {
		return nil, errNotAsked
	}
	opts, err := kafkaDial(k).Options()
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

// statusReport is what the command says, and with --json the document it prints.
type statusReport struct {
	Pipeline   string            `json:"pipeline"`
	Partitions []partitionReport `json:"partitions"`
	Totals     statusTotals      `json:"totals"`
	KafkaError string            `json:"kafka_error,omitempty"` // why an end or a lag is null

	others []string // the pipelines there are
}

type partitionReport struct {
	txn.PartitionStatus
	EndOffset *int64   `json:"end_offset"`              // as a read_committed reader sees it
	Lag       *int64   `json:"lag"`                     // in offsets
	RecordAge *float64 `json:"last_record_age_seconds"` // null before the first record
	MoveAge   float64  `json:"updated_age_seconds"`
	Letters   *int64   `json:"dead_letters"` // in sinker.dead_letters now; null when this role may not read it
}

type statusTotals struct {
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

func newStatusReport(pipeline string, o *txn.Overview) *statusReport {
	r := &statusReport{Pipeline: pipeline, Partitions: []partitionReport{}, others: o.Pipelines}
	if o.Letters != nil {
		r.Totals.Letters = new(int64)
	}
	for _, row := range o.Partitions {
		p := partitionReport{PartitionStatus: row, MoveAge: max(0, o.Now.Sub(row.UpdatedAt).Seconds())}
		if row.LastTimestamp != nil {
			age := max(0, o.Now.Sub(*row.LastTimestamp).Seconds())
			p.RecordAge = &age
		}
		if o.Letters != nil {
			n := o.Letters[txn.TopicPartition{Topic: row.Topic, Partition: row.Partition}]
			p.Letters = &n
			*r.Totals.Letters += n
		}
		switch row.State {
		case txn.Waiting:
			r.Totals.Waiting++
		case txn.Stopped:
			r.Totals.Stopped++
		}
		r.Totals.Consumed += row.Consumed
		r.Totals.Written += row.Written
		r.Totals.Filtered += row.Filtered
		r.Totals.Dead += row.Dead
		r.Totals.Suppressed += row.Suppressed
		r.Partitions = append(r.Partitions, p)
	}
	return r
}

// addEnds adds what Kafka says.
func (r *statusReport) addEnds(ends map[txn.TopicPartition]int64, err error) {
	if err != nil {
		r.KafkaError = err.Error()
	}
	var total int64
	known := 0
	for i := range r.Partitions {
		p := &r.Partitions[i]
		end, ok := ends[txn.TopicPartition{Topic: p.Topic, Partition: p.Partition}]
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

func (r *statusReport) print(w io.Writer) error {
	if len(r.Partitions) == 0 {
		return r.printNone(w)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TOPIC\tPARTITION\tPOSITION\tEND\tLAG\tCONSUMED\tWRITTEN\tFILTERED\tDEAD\tLAST RECORD\tMOVED\tOWNER\tSTATE")
	for _, p := range r.Partitions {
		last := "-"
		if p.RecordAge != nil {
			last = ago(*p.RecordAge)
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", p.Topic, p.Partition, p.NextOffset, known(p.EndOffset), known(p.Lag),
			p.Consumed, p.Written, p.Filtered, p.Dead, last, ago(p.MoveAge), p.Owner, p.State)
	}
	if t := r.Totals; len(r.Partitions) > 1 {
		fmt.Fprintf(tw, "all\t\t\t\t%s\t%d\t%d\t%d\t%d\t\t\t\t\n", known(t.Lag), t.Consumed, t.Written, t.Filtered, t.Dead)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return r.printNotes(w)
}

// printNotes says under the table what needs somebody to look.
func (r *statusReport) printNotes(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Partitions {
		if p.State == txn.Reading {
			continue
		}
		fmt.Fprintf(&b, "\n%s/%d is %s at %d: %s\n", p.Topic, p.Partition, p.State, p.NextOffset, p.Reason)
		if p.Command != "" {
			fmt.Fprintf(&b, "    %s\n", p.Command)
		}
	}
	if n := r.Totals.Letters; n != nil && *n > 0 {
		fmt.Fprintf(&b, "\n%d dead letters: SELECT topic, partition, record_offset, table_name, column_name, code, reason FROM sinker.dead_letters WHERE pipeline = '%s' ORDER BY id DESC LIMIT 10;\n", *n, strings.ReplaceAll(r.Pipeline, "'", "''"))
	}
	if n := r.Totals.Suppressed; n > 0 {
		fmt.Fprintf(&b, "\n%d rows were suppressed: triggers or rules of the tables took them away. Where a topic has one table, their records count as FILTERED.\n", n)
	}
	if r.KafkaError != "" {
		fmt.Fprintf(&b, "\nWhere END and LAG are ?, Kafka has not said: %s\n", r.KafkaError)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *statusReport) printNone(w io.Writer) error {
	others := "no pipeline has"
	if len(r.others) > 0 {
		others = "these have: " + strings.Join(r.others, ", ")
	}
	_, err := fmt.Fprintf(w, "pipeline %s has no positions in this database: it has not run yet, or has another name (%s)\n", r.Pipeline, others)
	return err
}

func known(n *int64) string {
	if n == nil {
		return "?"
	}
	return fmt.Sprint(*n)
}

// ago is an age as people say it.
func ago(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}
