package main

// bugs are the rules of the protocol, each left out. docs/model has the same rules left out of the model, by nearly the
// same names.
var bugs = []bug{
	{"no-lock", "the compare reads the offset rows without locking them", []edit{{
		"internal/txn/compare.go", "\nFOR UPDATE OF o`", "`",
	}}},
	{"unchecked-move", "the move of the offset rows is not held to what the compare saw", []edit{{
		"internal/txn/move.go",
		"AND o.ctid = ANY ($19::text[]::tid[]) AND o.next_offset = m.start AND o.fence = m.fence\n" +
			"      AND coalesce(o.owner, '') = $16", "",
	}, {
		"internal/txn/move.go", "	e.add(\"SELECT \" + s.planner.only)\n", "", // there are no places to go by
	}}},
	{"uncounted-move", "nobody counts whether all offset rows have moved", []edit{{
		"internal/txn/move.go", "THEN 1 ELSE 0 END)", "THEN 1 END)",
	}}},
	{"take-without-lock", "a take reads the position without waiting for a COMMIT under way", []edit{{
		"internal/txn/take.go", "\nFOR UPDATE OF o`", "`",
	}}},
	{"no-identity", "the compare does not ask whose log the row is of", []edit{{
		"internal/txn/take.go", "func sameLog(a, b LogID) bool {\n",
		"func sameLog(a, b LogID) bool {\n	if true {\n		return true\n	}\n",
	}}},
	{"no-fence", "the compare asks for neither the fence nor the owner", []edit{{
		"internal/txn/compare.go", "case row.Fence != r.Fence || row.Owner != owner:", "case false:",
	}}},
	{"fence-alone", "the compare asks for the fence, but not for the owner", []edit{{
		"internal/txn/compare.go", "case row.Fence != r.Fence || row.Owner != owner:", "case row.Fence != r.Fence:",
	}}},
	{"already-before-fence", `"at our To already" is asked before the fence`, []edit{{
		"internal/txn/compare.go", "	case row.Fence != r.Fence ||",
		"	case row.Stored == r.To:\n		return Already, true\n	case row.Fence != r.Fence ||",
	}}},
	{"no-reread", "the attempt after a lost reply does not compare again", []edit{{
		"internal/txn/compare.go", "	if len(misses) > 0 {\n", "	if len(misses) > 0 && s.inDoubt == nil {\n",
	}}},
	{"unknown-is-failed", "after a lost reply the batch is cut again, as if nothing had been committed", []edit{{
		"internal/consume/commit.go", "&& w.rows > 1:", "&& w.rows > 1, e.Step == record.StepCommit:",
	}}},
	{"unknown-is-committed", "a lost reply is taken for a COMMIT", []edit{{
		"internal/txn/move.go", "		s.inDoubt = res\n", "		s.inDoubt = res\n		return nil\n",
	}}},
	{"offsets-apart", "the offset rows move in a second transaction", []edit{{
		"internal/txn/commit.go",
		"	if err == nil {\n		err = wrap(record.StepWrite, \"\", failpoint.Hit(failpoint.BeforeCommit))\n",
		"	if err == nil {\n		_, err = t.conn.Exec(ctx, \"COMMIT; BEGIN\")\n	}\n	if err == nil {\n" +
			"		err = wrap(record.StepWrite, \"\", failpoint.Hit(failpoint.BeforeCommit))\n",
	}, {
		"internal/txn/small.go", "	s.count(t.batch, res)\n",
		"	_, _ = p.exec(bounded, \"COMMIT\"), p.exec(bounded, \"BEGIN\")\n	s.count(t.batch, res)\n",
	}}},
	{"letters-apart", "the dead letters are written in a second transaction", []edit{{
		"internal/txn/commit.go", "	err = s.writeLetters(ctx, t.conn, t.batch)\n	t.phases.Dead = since(&start)\n", "	_ = s\n",
	}, {
		"internal/txn/commit.go", "	t.open = false\n	s.settle()\n",
		"	t.open = false\n	err = s.writeLetters(ctx, t.conn, t.batch)\n	s.settle()\n",
	}, {
		"internal/txn/small.go", "	if err := s.pipeLetters(bounded, p); err != nil {\n", "	if false {\n",
	}}},
	{"tables-apart", "every table is written in a transaction of its own", []edit{{
		"internal/txn/write.go",
		"		if err := w.write(ctx); err != nil {\n			return wrap(record.StepWrite, w.name(), err)\n		}\n",
		"		if err := w.write(ctx); err != nil {\n			return wrap(record.StepWrite, w.name(), err)\n		}\n" +
			"		_, _ = t.conn.Exec(ctx, \"COMMIT; BEGIN\")\n",
	}, {
		"internal/txn/small.go", "		rows = append(rows, added...)\n",
		"		rows = append(rows, added...)\n		_, _ = t.s.pipe.exec(ctx, \"COMMIT\"), t.s.pipe.exec(ctx, \"BEGIN\")\n",
	}}},
	{"advance-first", "the position in memory moves before COMMIT", []edit{{
		"internal/consume/commit.go", "		if err == nil {\n			w.trouble.over(w)\n",
		"		if err == nil || true {\n			w.trouble.over(w)\n",
	}}},
	{"no-rewind", "a position that went back is not gone back to", []edit{{
		"internal/txn/compare.go", "case row.Stored == r.From:", "case row.Stored <= r.From:",
	}}},
	{"position-in-memory", "after a reconnect the position comes from memory", []edit{{
		"internal/consume/take.go", "w.wentBack(p.TopicPartition, stood, p.NextOffset)\n",
		"w.wentBack(p.TopicPartition, stood, p.NextOffset)\n			p.NextOffset, p.read = stood, stood\n",
	}}},
	{"to-is-end-of-log", "a batch moves the position to the end of the log, not to the end of its records", []edit{{
		"internal/consume/part.go", "	return r, bytes\n}\n", `	if n := len(r.Batches); n > 0 {
		r.To = max(r.To, p.end)
		r.Batches[n-1] = upTo{r.Batches[n-1], r.To}
	}
	return r, bytes
}

type upTo struct {
	record.Batch
	end int64
}

func (b upTo) To() int64 { return b.end }
`,
	}}},
	{"control-dropped", "control records do not move the position", []edit{{
		"internal/consume/part.go", "		if r.Offset < next {\n",
		"		if r.Attrs.IsControl() {\n			continue\n		}\n		if r.Offset < next {\n",
	}}},
	{"aborted-too", "records of aborted and open transactions are read", []edit{{
		"internal/consume/clients.go", "		kgo.KeepControlRecords(),\n",
		"		kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadUncommitted()),\n",
	}}},
	{"no-bounds", "a position is not held against the log it is taken from", []edit{{
		"internal/consume/take.go", "func (v *logView) check(p record.Position) (why record.Stop, bad bool) {\n",
		"func (v *logView) check(p record.Position) (why record.Stop, bad bool) {\n	if true {\n		return why, false\n	}\n",
	}}},
	{"spent-is-written", "a batch whose first records are gone is written without them", []edit{{
		"internal/txn/tx.go", "	if t.batch.Streamed() {\n", "	if false {\n",
	}}},
	{"silent-kept", "a connection that fell silent with the offset rows locked is not ended", []edit{{
		"internal/txn/take.go", "func (s *Store) endFrozen(ctx context.Context, conn *pgx.Conn, cause error) {\n",
		"func (s *Store) endFrozen(ctx context.Context, conn *pgx.Conn, cause error) {\n	if true {\n		return\n	}\n",
	}}},
}
