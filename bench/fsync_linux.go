package main

import (
	"os"
	"syscall"
)

// datasync is the call that Postgres makes by default on Linux (wal_sync_method = fdatasync).
func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
