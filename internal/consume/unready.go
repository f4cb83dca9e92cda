package consume

import (
	"fmt"

	"sinker/internal/record"
)

// unready shortens the batch to what lies before records that cannot be read now. A partition of which nothing does
// waits at that record, and the others go on.
func (w *Worker) unready(b record.Ranges, records []record.Unready) record.Ranges {
	for _, u := range records {
		p := w.parts[u.TopicPartition]
		for i := range b {
			if b[i].TopicPartition != u.TopicPartition {
				continue
			}
			if below := p.below(u.Offset); below.Count() > 0 {
				b[i] = below
				break
			}
			w.park(p, record.Stop{Hole: record.Hole{From: u.Offset, To: u.Offset + 1}, Command: u.Command,
				Reason: fmt.Sprintf("a record cannot be read for now: %s (offset %d). Nothing is lost: sinker tries again by "+
					"itself", u.Reason, u.Offset)})
			break
		}
	}
	return w.stillOurs(b)
}
