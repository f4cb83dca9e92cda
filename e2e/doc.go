// Package e2e tests the real sinker binary, and in e2e/image the real image, against Apache Kafka and Postgres in
// containers: the faults are real ones (SIGKILL, a database or a broker that goes away), and so are the answers.
//
// This package holds what the tests share: the containers (bed.go), producers (load.go), sinker's processes
// (process.go), an independent reader of Kafka (truth.go) and the one checker that each test ends in (checker.go). What
// can be tested without containers is tested where it lives, in internal/.
package e2e
