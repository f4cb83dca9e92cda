package main

import (
	"encoding/json"
	"fmt"
	"io"

	"sinker/internal/app"
	"sinker/internal/printable"
	"sinker/internal/table"

	"github.com/spf13/cobra"
)

func init() { register(newVerifyCommand) }

func newVerifyCommand() *cobra.Command {
	var f pipelineFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove the tables against Kafka",
		Long: `Proves the pipeline against Kafka. The ledger must cover each partition up to its position
without a gap. Every range that Kafka still has is read again: its records, bytes and checksum
must agree. Tables with provenance columns must hold each record once.

Exits with code 2 when anything differs. It only reads, and may run while sinker runs.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := f.load()
			if err != nil {
				return err
			}
			r, err := app.Verify(cmd.Context(), p, build())
			if err != nil {
				return err
			}
			sayBehind(cmd, r.Standby)
			if err := printVerify(cmd.OutOrStdout(), r, asJSON); err != nil {
				return err
			}
			return r.Err()
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printVerify(w io.Writer, r *app.VerifyReport, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	t := table.New(w, "TOPIC", "PARTITION", "POSITION", "RANGES", "COMPARED", "RECORDS", "TABLE ROWS", "DIFFERENCES")
	for _, p := range r.Partitions {
		t.Row(p.Topic, p.Partition, p.Position, p.Ranges, p.Compared, p.Records, p.TableRows, len(p.Differences))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range r.Partitions {
		for _, d := range p.Differences {
			if _, err := fmt.Fprintf(w, "DIFFERS %s/%d: %s\n", p.Topic, p.Partition, d); err != nil {
				return err
			}
		}
	}
	return printNotes(w, r)
}

// printNotes prints a note that holds for several partitions of a topic once.
func printNotes(w io.Writer, r *app.VerifyReport) error {
	type note struct{ topic, text string }
	var order []note
	partitions := map[note][]int32{}
	for _, p := range r.Partitions {
		for _, text := range p.Notes {
			n := note{p.Topic, text}
			if partitions[n] == nil {
				order = append(order, n)
			}
			partitions[n] = append(partitions[n], p.Partition)
		}
	}
	for _, n := range order {
		where := fmt.Sprintf("%s/%d", n.topic, partitions[n][0])
		if more := len(partitions[n]); more > 1 {
			where = fmt.Sprintf("%s, %s", n.topic, printable.Count(more, "partition"))
		}
		if _, err := fmt.Fprintf(w, "note    %s: %s\n", where, n.text); err != nil {
			return err
		}
	}
	return nil
}
