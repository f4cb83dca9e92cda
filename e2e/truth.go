package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Record is one record of a topic as Kafka's own consumer shows it.
type Record struct {
	Partition int32
	Offset    int64
	Key       string
	ID        int64
	Kept      bool // the producer says that it commits it; false: it aborts the transaction
	Tombstone bool
}

// consumeScript prints its process id and becomes Kafka's console consumer: the Java client, not the one that sinker
// and the producers use.
const consumeScript = `echo $$
exec /opt/kafka/bin/kafka-console-consumer.sh --bootstrap-server localhost:19092 --topic "$1" --from-beginning \
  --isolation-level read_committed --timeout-ms 60000 \
  --property print.partition=true --property print.offset=true --property print.key=true`

// Truth reads every committed record of a topic, up to and with the last offsets given, through Kafka's console
// consumer inside the broker's container. The records of a partition come in order of their offsets.
//
// The consumer never ends by itself, or only after a silence: it is killed as soon as each partition has delivered its
// last record.
func (k *Kafka) Truth(ctx context.Context, topic string, last map[int32]int64) ([]Record, error) {
	if len(last) == 0 {
		return nil, errors.New("nothing was produced")
	}
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, err
	}
	defer docker.Close()
	exec, err := docker.ExecCreate(ctx, k.Container.GetContainerID(), client.ExecCreateOptions{
		AttachStdout: true, AttachStderr: true, Cmd: []string{"bash", "-c", consumeScript, "consume", topic}})
	if err != nil {
		return nil, fmt.Errorf("running Kafka's console consumer: %w", err)
	}
	attached, err := docker.ExecAttach(ctx, exec.ID, client.ExecAttachOptions{})
	if err != nil {
		return nil, fmt.Errorf("running Kafka's console consumer: %w", err)
	}
	defer attached.Close()
	stopped := context.AfterFunc(ctx, func() { attached.Close() })
	defer stopped()
	out, in := io.Pipe()
	var complaints bytes.Buffer
	copied := make(chan struct{})
	go func() {
		_, err := stdcopy.StdCopy(in, &complaints, attached.Reader)
		in.CloseWithError(err)
		close(copied)
	}()
	t := truth{open: map[int32]int64{}}
	for p, o := range last {
		t.open[p] = o
	}
	err = t.read(bufio.NewScanner(out))
	if t.pid != "" { // it has ended by itself when err is not nil, and nothing is there to kill
		k.Container.Exec(context.WithoutCancel(ctx), []string{"bash", "-c", "kill -9 " + t.pid + " 2>/dev/null || true"})
	}
	attached.Close()
	out.Close()
	<-copied
	if err != nil {
		return nil, fmt.Errorf("Kafka's console consumer on topic %s: %w\n%s", topic, errors.Join(err, ctx.Err()),
			tail(complaints.String(), 5))
	}
	return t.records, nil
}

// truth collects what the console consumer prints, until every partition is read up to its last record.
type truth struct {
	pid     string
	records []Record
	open    map[int32]int64
}

func (t *truth) read(lines *bufio.Scanner) error {
	for lines.Scan() {
		if t.pid == "" {
			t.pid = lines.Text()
			continue
		}
		r, err := parseRecord(lines.Text())
		if err != nil {
			return err
		}
		t.records = append(t.records, r)
		if last, open := t.open[r.Partition]; open && r.Offset >= last {
			delete(t.open, r.Partition)
			if len(t.open) == 0 {
				return nil
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return fmt.Errorf("it ended after %d records, before these offsets of these partitions: %v", len(t.records), t.open)
}

// parseRecord reads a line such as `Partition:0	Offset:12	k7	{"id":7,"kept":true,…}`; the value of a tombstone is null.
func parseRecord(line string) (Record, error) {
	bad := func(err error) (Record, error) { return Record{}, fmt.Errorf("it printed %q: %w", line, err) }
	f := strings.SplitN(line, "\t", 4)
	if len(f) != 4 {
		return bad(errors.New("want four fields"))
	}
	partition, err1 := strconv.ParseInt(strings.TrimPrefix(f[0], "Partition:"), 10, 32)
	offset, err2 := strconv.ParseInt(strings.TrimPrefix(f[1], "Offset:"), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return bad(err)
	}
	r := Record{Partition: int32(partition), Offset: offset, Key: f[2], Tombstone: f[3] == "null"}
	if r.Tombstone {
		return r, nil
	}
	id, rest, ok1 := strings.Cut(strings.TrimPrefix(f[3], `{"id":`), `,"kept":`)
	kept, _, ok2 := strings.Cut(rest, ",")
	if !ok1 || !ok2 {
		return bad(errors.New("want id and kept first"))
	}
	var err error
	if r.ID, err = strconv.ParseInt(id, 10, 64); err != nil {
		return bad(err)
	}
	if r.Kept, err = strconv.ParseBool(kept); err != nil {
		return bad(err)
	}
	return r, nil
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
