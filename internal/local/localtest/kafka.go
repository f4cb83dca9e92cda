package localtest

import (
	"context"
	"errors"
	"os"
	"testing"

	"sinker/internal/local"
)

// RealKafka starts an Apache Kafka of this test's own. Where none can be had, or only by fetching it, the test is
// skipped, and in CI it is fetched or the test fails.
func RealKafka(t testing.TB, opts local.KafkaOptions) *local.Kafka {
	t.Helper()
	if os.Getenv("CI") == "" && !local.KafkaAtHand() {
		t.Skip("no KAFKA_HOME, and no jars in the cache yet: `go run ./torture` fetches them, a test should not")
	}
	k, err := local.StartKafka(context.Background(), opts)
	if errors.Is(err, local.ErrNoKafka) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}
