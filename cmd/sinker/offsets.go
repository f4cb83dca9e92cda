package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/txn"

	"github.com/spf13/cobra"
)

func newOffsetsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "offsets",
		Short: "List the positions, and decide about a partition that stopped",
		Long: `Lists and changes the positions in sinker.offsets. Changes work while sinker is down or up: a
running worker is fenced, writes nothing from where it was, and takes the partition anew. Each
change leaves a row in sinker.audit.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newOffsetsListCommand(),
		newOffsetsChangeCommand("set", "Move a position to an offset"),
		newOffsetsChangeCommand("adopt", "Keep the position, for the log that has the topic's name now"),
		newOffsetsChangeCommand("reset", "Begin the log that has the topic's name now from its start"))
	return cmd
}

func newOffsetsListCommand() *cobra.Command {
	var f pipelineFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the positions of the pipeline",
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := f.loadDatabase()
			if err != nil {
				return err
			}
			rows, err := txn.Status(cmd.Context(), p.Postgres.URL.Reveal(), p.Name)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(rows)
			}
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "TOPIC\tPARTITION\tPOSITION\tOWNER\tSTATE\tREASON\tCOMMAND")
			for _, r := range rows {
				fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", r.Topic, r.Partition, r.NextOffset, r.Owner, r.State, r.Reason, r.Command)
			}
			return tw.Flush()
		},
	}
	f.addDatabase(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// changeFlags are an operator's words. The topic is --topic here, so the pipeline comes from a file.
type changeFlags struct {
	file, topic, note string
	partition         int32
	offset            int64
	skip, again       bool
}

func newOffsetsChangeCommand(action, short string) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use:   action,
		Short: short,
		RunE:  func(cmd *cobra.Command, _ []string) error { return changeOffset(cmd, action, &f) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "config", "c", "sinker.yaml", "configuration file")
	fs.StringVar(&f.topic, "topic", "", "topic")
	fs.Int32Var(&f.partition, "partition", -1, "partition")
	fs.StringVar(&f.note, "note", "", "why, for the audit")
	if action == "set" {
		fs.Int64Var(&f.offset, "offset", -1, "the offset to read next")
		fs.BoolVar(&f.skip, "skip-records", false, "yes, never write the records below the new position")
		fs.BoolVar(&f.again, "write-again", false, "yes, write the records above the new position a second time")
	}
	return cmd
}

func changeOffset(cmd *cobra.Command, action string, f *changeFlags) error {
	if err := excludes(cmd, "skip-records", "write-again"); err != nil {
		return err
	}
	for name, n := range map[string]int64{"partition": int64(f.partition), "offset": f.offset} {
		if n < 0 && cmd.Flags().Changed(name) {
			return usage("--%s must not be below 0", name)
		}
	}
	if f.topic == "" || f.partition < 0 || action == "set" && f.offset < 0 {
		return usage("offsets %s needs --topic and --partition%s", action, map[bool]string{true: " and --offset"}[action == "set"])
	}
	ctx := cmd.Context()
	p, err := loadFile(ctx, f.file)
	if err != nil {
		return err
	}
	change := txn.Change{TopicPartition: txn.TopicPartition{Topic: f.topic, Partition: f.partition}, Action: action,
		Offset: f.offset, SkipRecords: f.skip, WriteAgain: f.again, By: clientName(), Note: f.note}
	if action != "set" {
		if err := identify(ctx, p, &change); err != nil {
			return err
		}
	}
	conn, err := txn.Connect(ctx, p.Postgres.URL.Reveal(), "sinker offsets")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	done, err := txn.ChangeOffset(ctx, conn, p.Name, change)
	if errors.Is(err, txn.ErrRefused) || errors.Is(err, txn.ErrNoRow) {
		return withCode(exitUsage, err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s/%d: position %d → %d, fence %d\n", f.topic, f.partition, done.From, done.To, done.Fence)
	if done.Owner != "" {
		fmt.Fprintf(cmd.OutOrStdout(), "%s was the owner and is fenced; it takes the partition anew within seconds\n", done.Owner)
	}
	return nil
}

// identify asks Kafka which log has the topic's name now.
func identify(ctx context.Context, p *config.Pipeline, c *txn.Change) error {
	opts, err := kafkaDial(p.Kafka).Options()
	if err != nil {
		return withCode(exitConfig, err)
	}
	bounds, err := consume.LookAtTopic(ctx, consumeConfig(p, opts), c.Topic)
	if err != nil {
		return kafkaProblem(p.Kafka, err)
	}
	b, ok := bounds[c.Partition]
	if !ok {
		return withCode(exitUsage, fmt.Errorf("topic %s has no partition %d", c.Topic, c.Partition))
	}
	c.Log, c.Offset = &b.Log, -1
	if c.Action == "reset" {
		c.Offset = b.Start
	}
	return nil
}

func clientName() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s@%s", os.Getenv("USER"), host)
}
