// Package record holds the words that several of sinker's packages share: which partition and which log, a position, a
// range, what a transaction did, why it failed, why a partition is not read.
//
// It imports nothing of sinker, no client of Kafka and none of Postgres, so that consume can say what it needs of a
// database, and txn what it needs of a log, without knowing each other. Nothing here does anything but describe.
package record
