package e2e

import (
	"os"
	"testing"
)

var bed Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }
