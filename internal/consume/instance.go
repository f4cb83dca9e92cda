package consume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// ClaimInstances returns n ids for static memberships that no other live process on this host uses, so that a process
// that was killed and started again shows the ids it had and gets its partitions back at once, while a second process
// of the same configuration gets others. The claim is a lock on a file in the temporary folder: the kernel ends it with
// the process, however that ends. Hosts are told apart by their names.
//
// Where no lock can be had (no temporary folder, as in an image from scratch, or another system) the ids are those of a
// process that is alone on its host; should another have them all the same, Kafka says so and the worker goes on
// without one.
func ClaimInstances(group string, n int) (ids []string, release func()) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return nil, func() {}
	}
	var held []*os.File
	for slot := 0; len(ids) < n && slot < 1000; slot++ {
		id := unsafeInID.ReplaceAllString(fmt.Sprintf("%s-%s-%d", group, host, slot), "_")
		f, err := lockFile(filepath.Join(os.TempDir(), "sinker-"+id+".lock"))
		if errors.Is(err, errLocked) {
			continue
		}
		if f != nil {
			held = append(held, f)
		}
		ids = append(ids, id)
	}
	return ids, func() {
		for _, f := range held {
			f.Close()
		}
	}
}

var unsafeInID = regexp.MustCompile(`[^a-zA-Z0-9._-]`)
