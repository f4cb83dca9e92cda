//go:build unix

package consume

import (
	"errors"
	"os"
	"syscall"
)

// errLocked says that another process holds the file.
var errLocked = errors.New("locked")

// lockFile locks a file for as long as the process lives. Without a file and without an error: locking is not possible
// here.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if errors.Is(err, os.ErrPermission) {
		return nil, errLocked // another user's
	}
	if err != nil {
		return nil, nil
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, errLocked
	}
	return f, nil
}
