package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sinker/internal/local"

	"github.com/jackc/pgerrcode"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fullPipeline has a server and a sinker of its own: the two big servers are copies of each other, and cannot share a
// small disk.
const (
	fullPipeline = "torture-full"
	fullTopic    = "heavy"
	diskSize     = 16 << 20
)

var diskFaults = []*fault{
	{name: "disk-full", about: "the disk of a target table is full, on a server of its own, until somebody makes room",
		fire: fillDisk, missing: noDisk, locks: []string{"aside"}},
}

// noDisk says why there can be no small disk.
func noDisk(st *stage) string {
	if os.Geteuid() != 0 {
		return "a small disk is a tmpfs, which only root can mount"
	}
	dir := filepath.Join(st.dir, "disk-try")
	unmount, err := mountDisk(dir)
	if err != nil {
		return "a small disk is a tmpfs, which cannot be mounted here: " + err.Error()
	}
	unmount()
	return ""
}

func mountDisk(dir string) (unmount func(), err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0777", diskSize), "none",
		dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return func() {
		exec.Command("umount", "-l", dir).Run()
		os.Remove(dir)
	}, nil
}

// fillDisk is a whole small run: a server, a table on a small disk, a sinker, records, and no room for them.
func fillDisk(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
	dir := filepath.Join(st.dir, fmt.Sprintf("disk-%d", rng.Uint32()))
	unmount, err := mountDisk(dir)
	if err != nil {
		return "", err
	}
	defer unmount()
	space := filepath.Join(dir, "space") // Postgres wants a folder of its own, empty
	log, err := os.Create(filepath.Join(st.dir, "postgres-disk.log"))
	if err != nil {
		return "", err
	}
	defer log.Close()
	server, err := local.StartPostgres(ctx, local.PostgresOptions{Log: log})
	if err != nil {
		return "", err
	}
	defer server.Close()
	if err := ownedLike(space, filepath.Join(server.Dir(), "data")); err != nil {
		return "", err
	}
	topic := fmt.Sprintf("%s-%d", fullTopic, rng.Uint32())
	if err := st.makeTopic(ctx, topic, 1, 1, nil); err != nil {
		return "", err
	}
	s := &sinker{st: st, name: "sinker-disk", pipeline: fullPipeline, instance: "off", full: server, topic: topic}
	if err := execOn(ctx, server, `CREATE TABLESPACE small LOCATION '`+space+`'`,
		`CREATE TABLE heavy (id bigint, note text) TABLESPACE small`,
		`ALTER TABLE heavy ALTER note SET STORAGE EXTERNAL`); err != nil {
		return "", err
	}
	if err := s.run(); err != nil {
		return "", err
	}
	defer s.close()
	return st.overflow(ctx, s, dir)
}

// overflow lets the records come while there is no room, and makes room.
func (st *stage) overflow(ctx context.Context, s *sinker, dir string) (string, error) {
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, diskSize-(2<<20)), 0o600); err != nil {
		return "", err
	}
	const records = 400
	if err := st.heavy(ctx, s.topic, records); err != nil {
		return "", err
	}
	began := time.Now()
	err := within(ctx, 40*time.Second, func(ctx context.Context) error { // a row of the same kind does not fit either
		n, err := numberOn(ctx, s.full, `SELECT count(*) FROM sinker.offsets WHERE next_offset < 400`)
		if err == nil && n == 0 {
			return errors.New("sinker has not taken its partition")
		}
		if _, err := numberOn(ctx, s.full, `INSERT INTO heavy SELECT -1, repeat('x', 4000000) RETURNING id`); !isCode(err,
			pgerrcode.DiskFull) {
			return fmt.Errorf("the disk is not full: %w", errors.Join(err,
				execOn(ctx, s.full, `DELETE FROM heavy WHERE id = -1`)))
		}
		return nil
	})
	wait(ctx, 3*time.Second)
	if err := errors.Join(err, os.Remove(ballast)); err != nil {
		return "", err
	}
	full := time.Since(began)
	ctx, cancel := finish(ctx)
	defer cancel()
	err = within(ctx, time.Minute, func(ctx context.Context) error {
		n, err := numberOn(ctx, s.full, `SELECT count(*) FROM heavy WHERE id > 0`)
		if err == nil && n < records {
			err = fmt.Errorf("table heavy has %d rows of %d", n, records)
		}
		return err
	})
	if err != nil {
		return "", st.unsure(s.topic, err)
	}
	wrong, err := numberOn(ctx, s.full, fmt.Sprintf(`SELECT count(*) - count(DISTINCT id) + abs(count(*) - %d) +
		(SELECT count(*) FROM sinker.dead_letters) FROM heavy WHERE id > 0`, records))
	if err == nil && wrong != 0 {
		err = fmt.Errorf("table heavy is wrong in %d rows after the disk was full", wrong)
		st.tally.problem("I1: %v", err)
	}
	return fmt.Sprintf("full for %.0f s, then all %d records were there, once", full.Seconds(), records),
		errors.Join(err, s.hold(syscall.SIGTERM))
}

// heavy produces n records of ten kilobytes.
func (st *stage) heavy(ctx context.Context, topic string, n int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(st.kafka.Brokers()...), kgo.DefaultProduceTopic(topic),
		kgo.UnknownTopicRetries(-1))
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Value: fmt.Appendf(nil, `{"id":%d,"note":"%s"}`, i+1,
			strings.Repeat("x", 10_000))})
	}
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	return client.ProduceSync(ctx, records...).FirstErr()
}

// ownedLike makes a folder that belongs to whom another one belongs to.
func ownedLike(dir, other string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(other)
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		return os.Chown(dir, int(owner.Uid), int(owner.Gid))
	}
	return nil
}
