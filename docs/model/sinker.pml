/*
 * The offset protocol of sinker as a model for Spin: what a worker, Postgres, Kafka, the group, an operator and
 * the faults may do, in any order, and what must hold all the same. README.md says what each part stands for
 * in the code, and what is left out. check.sh runs every configuration and every mutant.
 *
 *   spin -DFAILOVER -DREWIND -DRECREATE -a sinker.pml && gcc -O2 -DSAFETY -o pan pan.c && ./pan -m200000
 *
 * Configuration: NW workers, NP partitions, END0 records in the topic's first log and END1 in the one that is
 * made again under its name, MAXF fences; FAILOVER, RECREATE, REWIND switch these faults on. Losing a
 * connection, a crash, and the server ending a silent owner's transaction are always on. LIVE is the configuration
 * for liveness: there all faults are counted and run out, and the group and frozen processes are explicit.
 */
#ifndef NW
#define NW 2
#endif
#ifndef NP
#define NP 1
#endif
#ifndef END0
#define END0 3
#endif
#ifndef END1
#define END1 2
#endif
#ifndef MAXF
#define MAXF 3
#endif

#define IX(w, p) ((w) * NP + (p))
#define TB(p, n) ((p) * 2 + (n))           /* the table's rows of partition p that come from its log n */
#define END(n)   ((n) == 0 -> END0 : END1)
#define BELOW(x) ((1 << (x)) - 1)          /* records [0, x) as a set of bits */
#define ODD      170                       /* every second record: what goes to another table in some mutants */
#define NOBODY   0

/* Where a worker is. */
#define IDLE  0
#define OPEN  1  /* compared under the row locks, which it holds; rows written, not committed */
#define SENT  2  /* COMMIT sent: the reply is awaited */
#define DOUBT 3  /* the reply was lost: the batch is kept as it is until a compare under the lock tells */
#define TAKE  4  /* COMMIT of a take sent */
#define READ  5  /* mutant NO_LOCK: compared by a plain read */
#define LOOKED 7 /* mutant POSITION_BEFORE_LOCK: the row was read, its lock is waited for */
#define SECOND 6 /* mutants with two transactions: the first is committed, the second is to be sent */

/* The worker's transaction, as the server sees it. Locks are held in BEGUN and FLYING. */
#define NONE   0
#define BEGUN  1
#define FLYING 2  /* the server has COMMIT and will commit or not, whether or not a client still waits */
#define DONE   3  /* committed; the reply is on its way */

/* Kafka. */
bit log;                     /* which log is under the topic's name: 1 once it was deleted and made again */

/* Postgres: sinker.offsets, the tables, the row locks, and what the transaction holding a lock will change. */
byte row_pos[NP], row_fence[NP], row_owner[NP];
bit  row_log[NP];
byte table[NP * 2];          /* records that have a row, a bit each: a second row is an assertion that fails */
byte lock[NP];               /* worker + 1 */
byte add[NP], to[NP];
bit  raises[NP], add_log[NP];
byte tx[NW];

#ifdef FAILOVER
/* The standby, as it was when it last heard of the primary: one moment, any moment. */
byte old_pos[NP], old_fence[NP], old_owner[NP], old_table[NP * 2];
bit  old_row_log[NP];
byte standby;                /* 1: it hears no more; 2: it is the primary */
#endif

/* A worker's memory: fence 0 is a partition it does not hold. [from, read) is in hand. */
byte pc[NW], taking[NW];
byte fence[NW * NP], from[NW * NP], read[NW * NP];
bit  whose[NW * NP];            /* the log that the take was for */
#ifdef FETCH_BY_NAME
bit  hand[NW * NP];          /* the log that the records in hand come from */
#define HAND(x) hand[x]
#else
#define HAND(x) whose[x]
#endif

#ifdef REWIND
bit rewound;
#endif
#ifdef OPERATOR_DELETES_APART
byte deleted;                /* 1 + the position that the operator means to set */
#endif

#ifdef LIVE
byte grp[NP];                /* whom the group has given the partition */
byte frozen[NW];             /* 1: for a while; 2: for ever */
byte stopped[NW * NP];       /* the fence at which a partition was stopped, until it is another one */
byte cuts = CUTS, crashes = CRASHES, aborts = ABORTS, moves = MOVES, freezes = FREEZES;
#define CAN(n)     n > 0
#define SPEND(n)   n--
#define AWAKE(w)   frozen[w] == 0
#define GIVEN(w, p) grp[p] == w && (stopped[IX(w, p)] == 0 || stopped[IX(w, p)] != row_fence[p])
#define TAKEN_AWAY(w, p) grp[p] != w
#else
#define CAN(n)     true
#define SPEND(n)   skip
#define AWAKE(w)   true
#define GIVEN(w, p) true
#define TAKEN_AWAY(w, p) true
#endif

/* ---- what must hold ------------------------------------------------------------------------------------------ */

/* After every change in Postgres: the table holds exactly the records below the position, and none of a log that
 * the offset row knows nothing of yet. That no record has two rows is asserted where rows come to be. */
inline whole(p) {
	assert(row_pos[p] <= END(row_log[p]));                     /* BEYOND THE END */
	assert(table[TB(p, row_log[p])] == BELOW(row_pos[p]));     /* NOT THE PREFIX */
	assert(row_log[p] == 1 || table[TB(p, 1)] == 0)            /* ROWS OF ANOTHER LOG */
}

/* Mutants that tear a batch apart are only looked at when somebody takes the partition, so that what is found is
 * harm done and not the tear as such. */
#if defined(OFFSETS_SECOND_TX) || defined(ADVANCE_BEFORE_COMMIT) || defined(TWO_TABLES_TWO_TX) || defined(DEAD_LETTERS_OUTSIDE) || defined(OPERATOR_DELETES_APART)
#define TORN
inline whole_now(p) { skip }
#else
inline whole_now(p) { whole(p) }
#endif

inline insert(p, n, rows) {
	assert((table[TB(p, n)] & (rows)) == 0);                   /* A SECOND ROW OF A RECORD */
	table[TB(p, n)] = table[TB(p, n)] | (rows)
}

/* Counting a range as committed: its rows are there, and the partition is ours. */
inline counted(w, p, x) {
#ifndef DATA_ONLY
	assert(row_owner[p] == w + 1);                             /* COUNTED WITHOUT OWNING */
#endif
#ifndef TORN
	assert((table[TB(p, whose[x])] & (BELOW(read[x]) - BELOW(from[x]))) == BELOW(read[x]) - BELOW(from[x]));  /* COUNTED BUT NOT THERE */
#endif
}

/* ---- Postgres ------------------------------------------------------------------------------------------------ */

inline unlock(p) { lock[p] = 0; add[p] = 0; to[p] = 0; raises[p] = 0; add_log[p] = 0 }

inline end_tx(w) {
	for (p : 0 .. NP - 1) {
		if
		:: lock[p] == w + 1 -> unlock(p)
		:: else
		fi
	}
	p = 0;
	tx[w] = NONE
}

inline commit_tx(w) {
	for (p : 0 .. NP - 1) {
		if
		:: lock[p] == w + 1 ->
			if
			:: raises[p] ->
				row_fence[p]++;
				row_owner[p] = w + 1;
				row_log[p] = add_log[p];
				whole(p)
			:: else ->
#ifndef DATA_ONLY
				assert(row_owner[p] == w + 1);             /* A FENCED WORKER WRITES */
#endif
				insert(p, add_log[p], add[p]);
				row_pos[p] = to[p];
				whole_now(p)
			fi;
			unlock(p)
		:: else
		fi
	}
	p = 0;
	tx[w] = (pc[w] == SENT || pc[w] == TAKE -> DONE : NONE)
}

/* ---- the worker ---------------------------------------------------------------------------------------------- */

inline forget(x) {
	fence[x] = 0; whose[x] = 0; from[x] = 0; read[x] = 0;
#ifdef FETCH_BY_NAME
	hand[x] = 0;
#endif
}

/* consume.stop: the partition is only taken again when its fence is another one. */
inline give_up(x) {
#ifdef LIVE
	stopped[x] = fence[x];
#endif
	forget(x)
}

/* consume.take and txn.Take: look at the log, lock the row, check the identity, read the position under the lock,
 * raise the fence. COMMIT is on its way when it ends. */
inline take(w, p, x) {
	if
#ifndef NO_IDENTITY
	:: row_log[p] != log -> skip                               /* another log: stopped until an operator decides */
#endif
	:: row_pos[p] > END(log) -> skip                           /* beyond the end: the same */
	:: else ->
		whose[x] = log;
		from[x] = row_pos[p];
		read[x] = row_pos[p];
		taking[w] = p;
#ifdef POSITION_BEFORE_LOCK
		pc[w] = LOOKED
#else
		raise(w, p, x)
#endif
	fi
}

inline raise(w, p, x) {
	whole(p);
	assert(row_fence[p] < MAXF);
	lock[p] = w + 1; to[p] = row_pos[p]; raises[p] = 1; add_log[p] = whose[x];
	fence[x] = row_fence[p] + 1;
	pc[w] = TAKE;
	tx[w] = FLYING
}

#ifdef NO_FENCE
#define FENCED(w, p, x) false
#else
#ifdef FENCE_ALONE
#define FENCED(w, p, x) (row_fence[p] != fence[x])
#else
#define FENCED(w, p, x) (row_fence[p] != fence[x] || row_owner[p] != w + 1)
#endif
#endif
#ifdef NO_IDENTITY_IN_COMPARE
#define OTHERLOG(p, x) false
#else
#define OTHERLOG(p, x) row_log[p] != whose[x]
#endif
#ifdef POSITION_FROM_MEMORY
#define MATCHES(p, x) true
#else
#ifdef NO_REWIND
#define MATCHES(p, x) row_pos[p] <= from[x]
#else
#define MATCHES(p, x) row_pos[p] == from[x]
#endif
#endif

/* txn.classifyRow, and what consume.missed does about each kind. */
inline compare(w, p, x) {
	if
#ifdef ALREADY_WITHOUT_FENCE
	:: !(OTHERLOG(p, x)) && row_pos[p] == read[x] ->
		counted(w, p, x);
		from[x] = read[x]; missed = 1
#endif
	:: else ->
		if
		:: OTHERLOG(p, x) -> forget(x); missed = 1
		:: else ->
			if
			:: FENCED(w, p, x) -> forget(x); missed = 1
			:: else ->
				if
				:: MATCHES(p, x) -> skip
				:: else ->
					missed = 1;
					if
					:: row_pos[p] == read[x] ->         /* already */
						counted(w, p, x);
						from[x] = read[x]
#ifdef WENT_BACK_STOPS
					:: row_pos[p] < from[x] -> give_up(x)
#else
					:: row_pos[p] < from[x] -> forget(x)  /* went back: taken again, from the row's position */
#endif
#ifdef DATA_ONLY
					:: else -> give_up(x)
#else
					:: else -> assert(false)              /* AHEAD: a partition that stops for no reason */
#endif
					fi
				fi
			fi
		fi
	fi
}

#define IN_BATCH(x) (fence[x] != 0 && read[x] > from[x])
#define FREE(p, x)  (!IN_BATCH(x) || lock[p] == 0)
#if NP == 1
#define SOME_IN_BATCH(w) IN_BATCH(w)
#define ALL_FREE(w)      (lock[0] == 0)
#else
#define SOME_IN_BATCH(w) (IN_BATCH(IX(w, 0)) || IN_BATCH(IX(w, 1)))
#define ALL_FREE(w)      (FREE(0, IX(w, 0)) && FREE(1, IX(w, 1)))
#endif

/* txn.begin: all rows of the batch are locked and compared; the locks are kept only when all of them match. */
inline begin(w) {
	missed = 0;
	for (p : 0 .. NP - 1) {
		if
		:: IN_BATCH(IX(w, p)) -> compare(w, p, IX(w, p))
		:: else
		fi
	}
	p = 0;
	if
	:: missed -> pc[w] = IDLE; missed = 0
#ifdef NO_LOCK
	:: else -> pc[w] = READ
#else
	:: else -> hold(w); pc[w] = OPEN; tx[w] = BEGUN
#endif
	fi
}

inline hold(w) {
	for (p : 0 .. NP - 1) {
		if
		:: IN_BATCH(IX(w, p)) -> lock[p] = w + 1
		:: else
		fi
	}
	p = 0
}

#ifdef TO_IS_HIGH_WATERMARK
#define TO(x) END(whose[x])
#else
#define TO(x) read[x]
#endif

/* txn.write and txn.finish: the rows, then the move of the positions and COMMIT. */
inline send(w) {
	for (p : 0 .. NP - 1) {
		if
		:: IN_BATCH(IX(w, p)) ->
			add[p] = BELOW(read[IX(w, p)]) - BELOW(from[IX(w, p)]);
			add_log[p] = HAND(IX(w, p));
			to[p] = TO(IX(w, p));
			split(w, p)
		:: else
		fi
	}
	p = 0;
	tx[w] = FLYING;
	pc[w] = SENT
}

/* What of the batch is in the transaction that a mutant sends first. */
inline split(w, p) {
#ifdef OFFSETS_SECOND_TX
	to[p] = row_pos[p]
#else
#ifdef ADVANCE_BEFORE_COMMIT
	add[p] = 0
#else
#ifdef TWO_TABLES_TWO_TX
	add[p] = add[p] & (255 - ODD)
#else
#ifdef DEAD_LETTERS_OUTSIDE
	insert(p, add_log[p], add[p] & ODD);
	add[p] = add[p] & (255 - ODD)
#else
	skip
#endif
#endif
#endif
#endif
}

/* The second transaction of such a mutant: one step, committed. */
inline send_second(w) {
	for (p : 0 .. NP - 1) {
		if
		:: IN_BATCH(IX(w, p)) ->
#ifdef OFFSETS_SECOND_TX
			row_pos[p] = read[IX(w, p)];
#endif
#ifdef ADVANCE_BEFORE_COMMIT
			insert(p, whose[IX(w, p)], BELOW(read[IX(w, p)]) - BELOW(from[IX(w, p)]));
#endif
#ifdef TWO_TABLES_TWO_TX
			insert(p, whose[IX(w, p)], (BELOW(read[IX(w, p)]) - BELOW(from[IX(w, p)])) & ODD);
#endif
			from[IX(w, p)] = read[IX(w, p)]
		:: else
		fi
	}
	p = 0;
	pc[w] = IDLE
}

/* consume.committed: the positions in memory move on. */
inline advance(w) {
	for (p : 0 .. NP - 1) {
		if
		:: IN_BATCH(IX(w, p)) -> from[IX(w, p)] = read[IX(w, p)]
		:: else
		fi
	}
	p = 0
}

/* The reply to COMMIT came. */
inline replied(w) {
	tx[w] = NONE;
	if
	:: pc[w] == TAKE -> taking[w] = 0; pc[w] = IDLE
#if defined(OFFSETS_SECOND_TX) || defined(ADVANCE_BEFORE_COMMIT) || defined(TWO_TABLES_TWO_TX)
	:: else -> pc[w] = SECOND
#else
	:: else -> advance(w); pc[w] = IDLE
#endif
	fi
}

/* It did not: the connection broke, a timeout ran out, the server said something else. */
inline not_replied(w) {
	if
	:: tx[w] == DONE -> tx[w] = NONE
	:: else
	fi;
	if
	:: pc[w] == TAKE ->                                        /* taken again from the start */
		forget(IX(w, taking[w]));
		taking[w] = 0;
		pc[w] = IDLE
	:: else ->
#ifdef UNKNOWN_IS_COMMITTED
		for (p : 0 .. NP - 1) {
			if
			:: IN_BATCH(IX(w, p)) -> counted(w, p, IX(w, p))
			:: else
			fi
		}
		p = 0;
		advance(w);
		pc[w] = IDLE
#else
		pc[w] = DOUBT
#endif
	fi
}

inline crash(w) {
	for (p : 0 .. NP - 1) { forget(IX(w, p)) }
	p = 0;
	taking[w] = 0;
	pc[w] = IDLE;
#ifdef LIVE
	for (p : 0 .. NP - 1) { stopped[IX(w, p)] = 0 }
	p = 0;
#endif
	if
	:: tx[w] == BEGUN -> end_tx(w)
	:: tx[w] == DONE -> tx[w] = NONE
	:: else                                                    /* what is flying flies on */
	fi
}

#if NP == 1
#define SOME_HELD(w) fence[w] != 0
#else
#define SOME_HELD(w) (fence[IX(w, 0)] != 0 || fence[IX(w, 1)] != 0)
#endif

inline fetch(x) {
#ifdef FETCH_BY_NAME
	hand[x] = log;
#endif
	read[x]++
}

#ifdef NO_LOCK
/* The row is locked only now, by the move of the position. With the count of moved rows (KEEP_THE_COUNT) the server itself
 * sees that the position is another one by now. */
inline late(w) {
#ifdef KEEP_THE_COUNT
	missed = 0;
	for (p : 0 .. NP - 1) {
		if
		:: IN_BATCH(IX(w, p)) && (row_pos[p] != from[IX(w, p)] || FENCED(w, p, IX(w, p))) -> missed = 1
		:: else
		fi
	}
	p = 0;
	if
	:: missed -> missed = 0; pc[w] = DOUBT
	:: else -> hold(w); send(w)
	fi
#else
	hold(w); send(w)
#endif
}
#endif

#ifdef POSITION_BEFORE_LOCK
#define MAY_READ(p) true
#else
#define MAY_READ(p) lock[p] == 0
#endif
#define OUT_OF_DATE(w, p, x) (fence[x] != 0 && read[x] == from[x] && (row_pos[p] != from[x] || FENCED(w, p, x)))
#ifdef UNKNOWN_IS_FAILED
#define BLIND(w) pc[w] == DOUBT
#else
#define BLIND(w) false
#endif
#ifdef RANGE_CHANGED_IN_DOUBT
#define MAY_FETCH(w) (pc[w] == IDLE || pc[w] == DOUBT)
#else
#define MAY_FETCH(w) pc[w] == IDLE
#endif
#ifdef FETCH_BY_NAME
#define LOG_IS_THERE(x) (read[x] == from[x] || hand[x] == log)
#else
#define LOG_IS_THERE(x) (whose[x] == log)
#endif

proctype Worker(byte w) {
	byte p;
	bit missed;
end:
	do
	/* An assignment arrives, or a dropped partition is still ours by the group. */
	:: atomic { AWAKE(w) && pc[w] == IDLE && tx[w] == NONE && fence[IX(w, 0)] == 0 && GIVEN(w, 0) && MAY_READ(0) && row_fence[0] < MAXF -> take(w, 0, IX(w, 0)) }
#if NP > 1
	:: atomic { AWAKE(w) && pc[w] == IDLE && tx[w] == NONE && fence[IX(w, 1)] == 0 && GIVEN(w, 1) && MAY_READ(1) && row_fence[1] < MAXF -> take(w, 1, IX(w, 1)) }
#endif
#ifdef POSITION_BEFORE_LOCK
	:: atomic { AWAKE(w) && pc[w] == LOOKED && lock[taking[w]] == 0 && row_fence[taking[w]] < MAXF -> raise(w, taking[w], IX(w, taking[w])) }
#endif
	/* A revocation or a loss is noticed: between two batches, or between two attempts at one. */
	:: atomic { AWAKE(w) && (pc[w] == IDLE || pc[w] == DOUBT) && fence[IX(w, 0)] != 0 && TAKEN_AWAY(w, 0) ->
		forget(IX(w, 0));
		if
		:: SOME_IN_BATCH(w)
		:: else -> pc[w] = IDLE
		fi }
#if NP > 1
	:: atomic { AWAKE(w) && (pc[w] == IDLE || pc[w] == DOUBT) && fence[IX(w, 1)] != 0 && TAKEN_AWAY(w, 1) ->
		forget(IX(w, 1));
		if
		:: SOME_IN_BATCH(w)
		:: else -> pc[w] = IDLE
		fi }
#endif
#if defined(LIVE) && !defined(NO_LOOK)
	/* Nothing in hand and so no compare: a look at the row now and then, a plain read, which is only a reason to take it
	 * again. (Without LIVE a worker may let go at any time anyway.) */
	:: atomic { AWAKE(w) && pc[w] == IDLE && OUT_OF_DATE(w, 0, IX(w, 0)) -> forget(IX(w, 0)) }
#if NP > 1
	:: atomic { AWAKE(w) && pc[w] == IDLE && OUT_OF_DATE(w, 1, IX(w, 1)) -> forget(IX(w, 1)) }
#endif
#endif
	/* One more record in hand. */
	:: atomic { AWAKE(w) && MAY_FETCH(w) && fence[IX(w, 0)] != 0 && LOG_IS_THERE(IX(w, 0)) && read[IX(w, 0)] < END(log) -> fetch(IX(w, 0)) }
#if NP > 1
	:: atomic { AWAKE(w) && MAY_FETCH(w) && fence[IX(w, 1)] != 0 && LOG_IS_THERE(IX(w, 1)) && read[IX(w, 1)] < END(log) -> fetch(IX(w, 1)) }
#endif
#ifdef NO_LOCK
	:: atomic { AWAKE(w) && (pc[w] == IDLE || pc[w] == DOUBT) && SOME_IN_BATCH(w) -> begin(w) }
	:: atomic { AWAKE(w) && pc[w] == READ && tx[w] == NONE && ALL_FREE(w) -> late(w) }
#else
	/* BEGIN and the compare. A transaction of ours that still flies holds the locks, so this waits for it. */
	:: atomic { AWAKE(w) && (pc[w] == IDLE || pc[w] == DOUBT) && tx[w] == NONE && SOME_IN_BATCH(w) && ALL_FREE(w) ->
		if
		:: BLIND(w) -> hold(w); pc[w] = OPEN; tx[w] = BEGUN
		:: else -> begin(w)
		fi }
#endif
	/* Rows, the move, COMMIT; or the server has ended the transaction meanwhile, and nothing was written. */
	:: atomic { AWAKE(w) && pc[w] == OPEN && tx[w] == BEGUN -> send(w) }
	:: atomic { AWAKE(w) && pc[w] == OPEN && tx[w] == NONE -> pc[w] = IDLE }
	:: atomic { AWAKE(w) && (pc[w] == SENT || pc[w] == TAKE) && tx[w] == DONE -> replied(w) }
	:: atomic { AWAKE(w) && (pc[w] == SENT || pc[w] == TAKE) && tx[w] == NONE -> not_replied(w) }
	:: atomic { AWAKE(w) && (pc[w] == SENT || pc[w] == TAKE) && tx[w] != NONE && CAN(cuts) -> SPEND(cuts); not_replied(w) }
#ifdef TORN
	:: atomic { pc[w] == SECOND -> send_second(w) }
#endif
	:: atomic { AWAKE(w) && CAN(crashes) && (pc[w] != IDLE || SOME_HELD(w)) -> SPEND(crashes); crash(w) }
	od
}


/* ---- the world ----------------------------------------------------------------------------------------------- */

#ifdef FAILOVER
/* The standby hears nothing from here on. */
inline lag() {
	for (p : 0 .. NP - 1) {
		old_pos[p] = row_pos[p]; old_fence[p] = row_fence[p]; old_owner[p] = row_owner[p]; old_row_log[p] = row_log[p];
		old_table[TB(p, 0)] = table[TB(p, 0)]; old_table[TB(p, 1)] = table[TB(p, 1)]
	}
	p = 0;
	standby = 1
}

/* It becomes the primary: everything committed since is gone, rows and positions together, and all transactions. */
inline failover() {
	for (p : 0 .. NP - 1) {
		row_pos[p] = old_pos[p]; row_fence[p] = old_fence[p]; row_owner[p] = old_owner[p]; row_log[p] = old_row_log[p];
		table[TB(p, 0)] = old_table[TB(p, 0)]; table[TB(p, 1)] = old_table[TB(p, 1)];
		old_pos[p] = 0; old_fence[p] = 0; old_owner[p] = 0; old_row_log[p] = 0; old_table[TB(p, 0)] = 0; old_table[TB(p, 1)] = 0;
		unlock(p)
	}
	p = 0;
	for (v : 0 .. NW - 1) {
		if
		:: tx[v] == BEGUN || tx[v] == FLYING -> tx[v] = NONE
		:: else
		fi
	}
	v = 0;
	standby = 2
}
#endif

/* An operator's change is fenced and waits for the row lock, as txn.ChangeOffset does. */
inline change(p, n, x) {
	row_log[p] = n; row_pos[p] = x; row_fence[p]++; row_owner[p] = NOBODY;
	whole(p)
}

#define STOPPED_BY_LOG(p) (row_log[p] != log && lock[p] == 0 && row_fence[p] < MAXF)

/* What Postgres does by itself with the transaction of worker w. */
#define SERVER(w) \
	:: atomic { tx[w] == FLYING -> commit_tx(w) } \
	:: atomic { tx[w] == FLYING && CAN(aborts) -> SPEND(aborts); end_tx(w) } \
	:: atomic { tx[w] == BEGUN && SILENT(w) -> end_tx(w) }

#ifdef LIVE
#ifdef NO_SERVER_TIMEOUT
#define SILENT(w) false
#else
#define SILENT(w) frozen[w] != 0
#endif
#else
#define SILENT(w) true    /* a worker that takes no step is a frozen one: no other step is needed for it */
#endif

proctype Server() {
	byte p;
end:
	do
	SERVER(0)
	SERVER(1)
#if NW > 2
	SERVER(2)
#endif
	od
}

proctype World() {
	byte p, v;
end:
	do
	:: false                                                   /* for when none of these is switched on */
#ifdef FAILOVER
	:: atomic { standby == 0 -> lag() }
	:: atomic { standby == 1 -> failover() }
#endif
#ifdef RECREATE
	:: atomic { log == 0 -> log = 1 }
	/* sinker offsets reset */
	:: atomic { STOPPED_BY_LOG(0) -> change(0, log, 0) }
#if NP > 1
	:: atomic { STOPPED_BY_LOG(1) -> change(1, log, 0) }
#endif
#endif
#ifdef REWIND
	/* sinker offsets set --write-again, of partition 0, with the rows deleted in the same transaction. */
#ifdef OPERATOR_DELETES_APART
	:: atomic { !rewound && deleted == 0 && row_pos[0] > 0 ->
		v = 0;
		do
		:: v + 1 < row_pos[0] -> v++
		:: break
		od;
		deleted = 1 + v;
		table[TB(0, row_log[0])] = table[TB(0, row_log[0])] & BELOW(v);
		v = 0 }
	:: atomic { deleted > 0 && lock[0] == 0 && row_fence[0] < MAXF ->
		row_pos[0] = deleted - 1; row_fence[0]++; row_owner[0] = NOBODY;
		deleted = 0; rewound = 1;
		whole(0) }
#else
	:: atomic { !rewound && lock[0] == 0 && row_fence[0] < MAXF ->
		v = row_pos[0];
		do
		:: v > 0 -> v--
		:: break
		od;
		rewound = 1;
		table[TB(0, row_log[0])] = table[TB(0, row_log[0])] & BELOW(v);
		change(0, row_log[0], v);
		v = 0 }
#endif
#endif
#ifdef LIVE
	:: atomic { moves > 0 -> moves--; grp[0] = 1 - grp[0] }
#if NP > 1
	:: atomic { moves > 0 -> moves--; grp[1] = 1 - grp[1] }
#endif
	:: atomic { freezes > 0 -> freezes--; if :: v = 0 :: v = 1 fi; if :: frozen[v] = 1 :: frozen[v] = 2 fi; v = 0 }
	:: atomic { frozen[0] == 1 -> frozen[0] = 0 }
	:: atomic { frozen[1] == 1 -> frozen[1] = 0 }
	/* A silent member loses its partitions at the end of its session. */
	:: atomic { frozen[grp[0]] != 0 && frozen[1 - grp[0]] == 0 -> grp[0] = 1 - grp[0] }
#if NP > 1
	:: atomic { frozen[grp[1]] != 0 && frozen[1 - grp[1]] == 0 -> grp[1] = 1 - grp[1] }
#endif
#endif
	od
}

#ifdef LIVE
/* Time goes on also where nothing can happen any more: Spin looks for cycles, and fairly for those with a step in them. */
proctype Clock() {
	bit tick;
	do
	:: tick = 0
	od
}
#endif

init {
	atomic {
		run Worker(0);
		run Worker(1);
#if NW > 2
		run Worker(2);
#endif
		run Server();
#ifdef LIVE
		run Clock();
#endif
		run World()
	}
}

#ifdef LIVE
/* Every record lands, and stays. */
#define LANDED(p) ((log == 0 && row_log[p] == 0 && row_pos[p] == END0) || (log == 1 && row_log[p] == 1 && row_pos[p] == END1))
#if NP > 1
ltl lands { <>[] (LANDED(0) && LANDED(1)) }
#else
ltl lands { <>[] LANDED(0) }
#endif
#endif
