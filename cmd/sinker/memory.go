package main

import "github.com/KimMachineGun/automemlimit/memlimit"

// limitMemory tells Go's garbage collector of nine tenths of the container's memory limit (the cgroup's), if there is
// one: without it, the heap may grow to twice of what is in use before anything is freed. A GOMEMLIMIT in the
// environment stays. Where no limit can be read nothing changes, and nothing is said: most such machines have none.
func limitMemory() { _, _ = memlimit.Set(memlimit.WithRatio(0.9)) }
