package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"sinker/internal/txn"
	"sinker/internal/verify"

	"github.com/spf13/cobra"
)

func newVerifyCommand() *cobra.Command {
	var f pipelineFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove the tables against Kafka",
		Long: `Proves the pipeline against Kafka: the ledger tiles each partition up to its position, every
range that Kafka still has is read again and its records, bytes and checksum must agree, and
tables with provenance columns must hold each record once. Exits 2 when anything differs.
It only reads, and may run beside sinker.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return verifyPipeline(cmd, &f, asJSON) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func verifyPipeline(cmd *cobra.Command, f *pipelineFlags, asJSON bool) error {
	ctx := cmd.Context()
	p, err := f.load()
	if err != nil {
		return err
	}
	pl, err := newPlant(p, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	rows, err := txn.Status(ctx, pl.postgres.URL, p.Name)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return withCode(exitConfig, fmt.Errorf("pipeline %s has no positions in this database: it has not run yet, or has another name. Nothing was compared; `sinker status` lists the names", p.Name))
	}
	conn, err := txn.Connect(ctx, pl.postgres.URL, "sinker verify")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	store := txn.New(pl.postgres)
	defer store.Close()
	v := verify.Verifier{Pipeline: p.Name, Kafka: pl.kafka, Store: store, Conn: conn}
	reports := []verify.Report{}
	differences := 0
	for _, row := range rows {
		rep, err := v.Partition(ctx, txn.TopicPartition{Topic: row.Topic, Partition: row.Partition})
		if err != nil {
			return withCode(max(codeOf(err), exitFailed), err)
		}
		differences += len(rep.Differences)
		reports = append(reports, rep)
	}
	if err := printVerify(cmd.OutOrStdout(), reports, differences, asJSON); err != nil {
		return err
	}
	if differences > 0 {
		return withCode(exitDifference, errors.New("verify found differences"))
	}
	return nil
}

func printVerify(w io.Writer, reports []verify.Report, differences int, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]any{"ok": differences == 0, "differences": differences, "partitions": reports})
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TOPIC\tPARTITION\tPOSITION\tRANGES\tCOMPARED\tRECORDS\tTABLE ROWS\tDIFFERENCES")
	for _, r := range reports {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.Topic, r.Partition, r.Position, r.Ranges, r.Compared, r.Records, r.TableRows, len(r.Differences))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, r := range reports {
		for _, d := range r.Differences {
			fmt.Fprintf(w, "DIFFERS %s/%d: %s\n", r.Topic, r.Partition, d)
		}
	}
	return printNotes(w, reports)
}

// printNotes prints a note that holds for several partitions of a topic once.
func printNotes(w io.Writer, reports []verify.Report) error {
	type note struct{ topic, text string }
	var order []note
	partitions := map[note][]int32{}
	for _, r := range reports {
		for _, text := range r.Notes {
			n := note{r.Topic, text}
			if partitions[n] == nil {
				order = append(order, n)
			}
			partitions[n] = append(partitions[n], r.Partition)
		}
	}
	for _, n := range order {
		where := fmt.Sprintf("%s/%d", n.topic, partitions[n][0])
		if more := len(partitions[n]); more > 1 {
			where = fmt.Sprintf("%s, %d partitions", n.topic, more)
		}
		if _, err := fmt.Fprintf(w, "note    %s: %s\n", where, n.text); err != nil {
			return err
		}
	}
	return nil
}
