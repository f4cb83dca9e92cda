package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/txn"

	"github.com/spf13/cobra"
)

func newStatusCommand() *cobra.Command {
	var f pipelineFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show positions, totals and lag; works while sinker is down",
		Long: `Shows where the pipeline stands, from Postgres alone. When Kafka answers within three seconds
the ends of the logs and the lag are shown too.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := f.loadForStatus()
			if err != nil {
				return err
			}
			rows, err := txn.Status(cmd.Context(), p.Postgres.URL.Reveal(), p.Name)
			if err != nil {
				return err
			}
			ends, kafkaErr := endsOf(cmd.Context(), p, rows)
			return printStatus(cmd.OutOrStdout(), p.Name, rows, ends, kafkaErr, asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// loadForStatus needs no topics and no brokers: --to and --name are enough.
func (f *pipelineFlags) loadForStatus() (*config.Pipeline, error) {
	if f.file == "" && f.flags.To != "" && len(f.flags.Topics) == 0 && len(f.flags.Brokers) == 0 {
		p := &config.Pipeline{Name: f.flags.Name}
		if p.Name == "" {
			p.Name = "sinker"
		}
		p.Postgres.URL = config.Secret(f.flags.To)
		return p, nil
	}
	return f.load()
}

// endsOf asks Kafka for the ends of the logs, with little patience.
func endsOf(ctx context.Context, p *config.Pipeline, rows []txn.PartitionStatus) (map[txn.TopicPartition]int64, error) {
	if len(p.Kafka.Brokers) == 0 || len(rows) == 0 {
		return nil, nil
	}
	opts, err := kafkaDial(p.Kafka).Options()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	topics := map[string]bool{}
	for _, r := range rows {
		topics[r.Topic] = true
	}
	c := consume.Config{Kafka: opts}
	for t := range topics {
		c.Topics = append(c.Topics, t)
	}
	return consume.EndOffsets(ctx, c)
}

func printStatus(w io.Writer, name string, rows []txn.PartitionStatus, ends map[txn.TopicPartition]int64, kafkaErr error, asJSON bool) error {
	if asJSON {
		return printStatusJSON(w, name, rows, ends, kafkaErr)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintf(w, "pipeline %s has no offsets in this database: it has not run yet, or has another name\n", name)
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TOPIC\tPARTITION\tPOSITION\tEND\tLAG\tCONSUMED\tWRITTEN\tFILTERED\tDEAD\tLAST RECORD\tOWNER\tSTATE")
	for _, r := range rows {
		end, lag := "?", "?"
		if e, ok := ends[txn.TopicPartition{Topic: r.Topic, Partition: r.Partition}]; ok {
			end, lag = fmt.Sprint(e), fmt.Sprint(max(0, e-r.NextOffset))
		}
		last, state := "-", "ok"
		if r.LastTimestamp != nil {
			last = r.LastTimestamp.UTC().Format("2006-01-02 15:04:05Z")
		}
		if r.Stopped != "" {
			state = "STOPPED"
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", r.Topic, r.Partition, r.NextOffset, end, lag, r.Consumed, r.Written, r.Filtered, r.Dead, last, r.Owner, state)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		if r.Stopped != "" {
			fmt.Fprintf(w, "%s/%d stopped: %s\n", r.Topic, r.Partition, r.Stopped)
		}
	}
	if kafkaErr != nil {
		fmt.Fprintf(w, "Kafka does not answer, so ends and lag are not known: %v\n", kafkaErr)
	}
	return nil
}

func printStatusJSON(w io.Writer, name string, rows []txn.PartitionStatus, ends map[txn.TopicPartition]int64, kafkaErr error) error {
	type partition struct {
		txn.PartitionStatus
		End *int64 `json:"end_offset"`
		Lag *int64 `json:"lag"`
	}
	out := struct {
		Pipeline   string      `json:"pipeline"`
		Kafka      string      `json:"kafka_error,omitempty"`
		Partitions []partition `json:"partitions"`
	}{Pipeline: name, Partitions: []partition{}}
	if kafkaErr != nil {
		out.Kafka = kafkaErr.Error()
	}
	for _, r := range rows {
		p := partition{PartitionStatus: r}
		if e, ok := ends[txn.TopicPartition{Topic: r.Topic, Partition: r.Partition}]; ok {
			lag := max(0, e-r.NextOffset)
			p.End, p.Lag = &e, &lag
		}
		out.Partitions = append(out.Partitions, p)
	}
	return json.NewEncoder(w).Encode(out)
}
