// Package txn is the Postgres side of sinker and the only package with SQL in it. It takes partitions (Store.Take),
// and writes batches (Store.Begin, and the Tx that it returns): the compare of the offset rows, the transformed rows,
// the dead letters and the move of the offset rows, in one transaction. The commit of that transaction is the ack;
// nothing else records progress.
//
// It leaves Kafka alone: it neither polls nor knows why a partition is owned. It writes again only what Postgres has
// refused, part by part, to find the records to blame. Every other error goes to the caller, and says by its type what
// holds in the database and what to do next (errors.go).
package txn
