package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sinker/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// Service is the workers of one process.
type Service struct {
	cfg       Config
	newStore  func(worker int) Store
	instances []string
	ends      *Ends

	mu      sync.Mutex
	workers []*Worker
}

// NewService makes n workers' worth of service. instances are the static memberships' ids, one a worker, or nil.
// ends is nil for a service without end.
func NewService(cfg Config, n int, instances []string, newStore func(worker int) Store, ends *Ends) *Service {
	cfg.defaults()
	s := &Service{cfg: cfg, newStore: newStore, instances: instances, ends: ends, workers: make([]*Worker, n)}
	for i := range n {
		s.workers[i] = s.makeWorker(i, true)
	}
	return s
}

func (s *Service) makeWorker(i int, static bool) *Worker {
	cfg := s.cfg
	if static && i < len(s.instances) {
		cfg.InstanceID = s.instances[i]
	}
	w := NewWorker(i, cfg, s.newStore(i), s.ends)
	if static && cfg.Hooks != nil {
		w.hooks = cfg.Hooks(i) // not for a worker that replaces another: kprom registers its names once
	}
	return w
}

// Run runs the workers until ctx ends, the ends are reached, or one of them meets an error that waiting does not
// change.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for i := range s.workers {
		g.Go(func() error { return s.runWorker(ctx, i) })
	}
	if s.ends != nil {
		g.Go(func() error { return s.watchEnds(ctx, stop) })
	}
	return g.Wait()
}

// runWorker runs a worker, and another one in its place when somebody has taken its static membership: that one is a
// dynamic member, which nobody can take.
func (s *Service) runWorker(ctx context.Context, i int) error {
	for static := true; ; static = false {
		s.mu.Lock()
		w := s.workers[i]
		s.mu.Unlock()
		err := w.Run(ctx)
		if !static || !errors.Is(err, errInstanceFenced) {
			return err
		}
		s.cfg.Log.Warn("another process joined the group with this worker's instance id; going on as a member without one",
			"worker", i, "instance", w.cfg.InstanceID)
		s.mu.Lock()
		s.workers[i] = s.makeWorker(i, false)
		s.mu.Unlock()
	}
}

// States returns the workers' states.
func (s *Service) States() []*WorkerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make([]*WorkerState, len(s.workers))
	for i, w := range s.workers {
		states[i] = w.State()
	}
	return states
}

// FindEnds makes the goal of a bounded run: the present end of every partition that the configuration reads.
func FindEnds(ctx context.Context, c Config) (*Ends, error) {
	end, held, err := endOffsets(ctx, c)
	if err != nil {
		return nil, err
	}
	e := NewEnds(end)
	e.held = held
	return e, nil
}

// EndOffsets asks Kafka for the present end of every partition that the configuration reads, as a read_committed reader
// sees it.
func EndOffsets(ctx context.Context, c Config) (map[record.TopicPartition]int64, error) {
	end, _, err := endOffsets(ctx, c)
	return end, err
}

// endOffsets is EndOffsets, and how many offsets follow each end because an open transaction holds them back.
func endOffsets(ctx context.Context, c Config) (end, held map[record.TopicPartition]int64, err error) {
	cl, err := kgo.NewClient(c.Kafka...)
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	admin := kadm.NewClient(cl)
	topics, err := matchTopics(ctx, admin, &c)
	if err != nil {
		return nil, nil, err
	}
	high, _ := admin.ListEndOffsets(ctx, topics...) // first: it may only grow until the other is asked for
	listed, err := admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, nil, fmt.Errorf("ask Kafka for the end of the log: %w", err)
	}
	end, held = map[record.TopicPartition]int64{}, map[record.TopicPartition]int64{}
	var failed error
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			failed = fmt.Errorf("ask Kafka for the end of %s/%d: %w", o.Topic, o.Partition, o.Err)
		}
		tp := record.TopicPartition{Topic: o.Topic, Partition: o.Partition}
		end[tp] = o.Offset
		if h, ok := high.Lookup(o.Topic, o.Partition); ok && h.Err == nil && h.Offset > o.Offset {
			held[tp] = h.Offset - o.Offset
		}
	})
	return end, held, failed
}

// matchTopics returns the topics that exist and are read.
func matchTopics(ctx context.Context, admin *kadm.Client, c *Config) ([]string, error) {
	if len(c.Regexps) == 0 {
		return c.Topics, nil
	}
	all, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask Kafka for its topics: %w", err)
	}
	var topics []string
	for _, t := range all.Names() {
		if c.Wants(t) {
			topics = append(topics, t)
		}
	}
	return topics, nil
}

// Topics is what Kafka says of the configured topics.
type Topics struct {
	Missing []string // configured, and not there
	Denied  []string // configured, and not for this user to see, if they are there
	Present []string // every topic that this user may see, for a "did you mean"
}

// CheckTopics asks Kafka whether it is there and has the topics, so that a wrong name is known before anything starts.
func CheckTopics(ctx context.Context, c Config) (found Topics, err error) {
	cl, err := kgo.NewClient(c.Kafka...)
	if err != nil {
		return found, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	admin := kadm.NewClient(cl)
	all, err := admin.ListTopics(ctx)
	if err != nil {
		return found, err
	}
	found.Present = all.Names()
	absent := slices.DeleteFunc(slices.Clone(c.Topics), all.Has)
	// The list leaves out what this user may not see. Asked for a topic by its name, Kafka says which it is.
	for _, t := range absent {
		var denied *kadm.AuthError
		switch _, err := admin.ListTopics(ctx, t); {
		case errors.As(err, &denied):
			found.Denied = append(found.Denied, t)
		case err != nil:
			return found, err
		default:
			found.Missing = append(found.Missing, t)
		}
	}
	return found, nil
}
