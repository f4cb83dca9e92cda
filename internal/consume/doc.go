// Package consume is the Kafka side of sinker and the only package that polls. A Worker holds a membership in the
// consumer group, takes the partitions it is assigned from the Store, fetches their records from the position the Store
// names, and gives the Store one batch of ranges after the other to commit.
//
// It knows no SQL and no table: what a record becomes is the Store's business. It keeps no progress of its own: what it
// remembers of positions is only ever what the Store said under a row lock or committed.
package consume
