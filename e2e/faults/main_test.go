// Package faults kills and restarts what takes part while records flow: sinker, Postgres, Kafka.
package faults

import (
	"os"
	"testing"

	"sinker/e2e"
)

var bed e2e.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }
