package deliver

import "time"

// rests are the waits of what failed: of partitions that records come from, and of the
// queues of the service's own topics. Each is longer than the one before, until an attempt
// succeeds.
type rests map[any]*rest

type rest struct {
	until   time.Time
	backoff time.Duration // of the next
}

// active reports whether it waits, or has to show that it need not any more.
func (r rests) active(what any) bool { return r[what] != nil }

// waits reports whether it may not be tried yet.
func (r rests) waits(what any, now time.Time) bool {
	w := r[what]
	return w != nil && now.Before(w.until)
}

// extend makes it wait for at least least, twice as long as before, and at most most.
func (r rests) extend(what any, now time.Time, least, most time.Duration) {
	w := r[what]
	if w == nil {
		w = new(rest)
		r[what] = w
	}
	w.backoff = min(max(w.backoff, least), most)
	w.until = now.Add(w.backoff)
	w.backoff *= 2
}

// end ends its wait: an attempt has succeeded.
func (r rests) end(what any) { delete(r, what) }
