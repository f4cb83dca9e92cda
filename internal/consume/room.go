package consume

import (
	"errors"
	"runtime"
	"sync"
	"time"
)

// room is how much memory the unpacked batches of a worker may take, those that are not needed any more but lie there
// until the garbage collector has freed them included (decision 16). Each batch is given its place before it is
// unpacked. A batch larger than the room is let in when nothing else is there.
//
// A batch that finds no room waits for it while the loop holds records, whose commit will make some. When the loop
// holds none, nothing would come of waiting: what there is belongs to answers that are not complete, which may be the
// batch's own. It is refused then, the answer is cut off before it, and the batch is fetched again.
type room struct {
	size int64
	turn chan struct{} // of the one that looks for room; Go serves who waits for it in their order

	seen      int       // freed at the last collection; the turn's own
	collected time.Time // when it was

	mu      sync.Mutex
	used    int64 // by what is unpacked and not freed
	loop    loopState
	freed   int           // times that the loop has let go of records
	changed chan struct{} // closed when any of these changes
	last    time.Time     // when something last found room
}

// loopState says what the loop is doing, for those who look for room.
type loopState int

const (
	loopWants   loopState = iota // it holds nothing, and waits for records
	loopHolds                    // it holds records, or will take them from the client soon
	loopChanges                  // it waits for the fetches to end, to change what is read
)

// errNoRoom means that a batch was not unpacked because others take the memory. It is fetched again.
var errNoRoom = errors.New("other batches take the memory; it is fetched again")

const (
	collectGap = time.Second           // between two collections for one who waits, if the loop lets go of nothing
	betweenGCs = 50 * time.Millisecond // if it does
	afterGC    = 10 * time.Millisecond // within this time a collection's cleanups have run
)

func newRoom(size int64) *room {
	return &room{size: size, turn: make(chan struct{}, 1), changed: make(chan struct{})}
}

// take finds room for n bytes, waiting for it if that is of use. It returns errNoRoom, with nothing taken, if there
// is none.
func (r *room) take(n int64) error {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	for tries := 0; ; {
		r.mu.Lock()
		if r.fits(n) {
			r.used += n
			r.last = time.Now()
			r.mu.Unlock()
			return nil
		}
		state, freed, changed := r.loop, r.freed, r.changed
		r.mu.Unlock()
		wait := collectGap
		switch old := time.Since(r.collected); {
		case state == loopChanges:
			return errNoRoom
		case old >= collectGap, (freed != r.seen || state == loopWants) && old >= betweenGCs:
			runtime.GC()
			r.seen, r.collected, wait = freed, time.Now(), afterGC
		case freed != r.seen:
			wait = betweenGCs - old
		case state == loopWants && tries > 0:
			return errNoRoom
		case state == loopWants:
			tries, wait = 1, afterGC
		}
		select {
		case <-changed:
		case <-time.After(wait):
		}
	}
}

// fits says whether n bytes may be taken. When the loop has wanted records for long, and got none, whatever is still
// there after a collection cannot be waited for, and does not count.
func (r *room) fits(n int64) bool {
	return r.used == 0 || r.used+n <= r.size || r.loop == loopWants && r.seen == r.freed && time.Since(r.last) > collectGap
}

// add takes n bytes without looking for room; a negative n gives bytes back.
func (r *room) add(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used += n
	if n < 0 {
		r.wake()
	}
}

// free gives n bytes back.
func (r *room) free(n int64) { r.add(-n) }

// is notes what the loop does now.
func (r *room) is(s loopState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loop != s {
		r.loop = s
		r.wake()
	}
}

// letGo notes that the loop needs some of its records no more.
func (r *room) letGo() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freed++
	r.wake()
}

func (r *room) wake() {
	if len(r.turn) > 0 {
		close(r.changed)
		r.changed = make(chan struct{})
	}
}
