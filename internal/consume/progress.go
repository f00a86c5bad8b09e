package consume

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// progress is how far the works of a lane are handled and committed, and so what its next
// commit says. The lane's lock guards it together with the queue.
type progress struct {
	committed  kgo.EpochOffset // the last commit that we know of
	ahead      ahead           // from the previous owner's commit
	finished   int64           // how many works have been done
	listed     int64           // the same when the commit was made that lists those ahead
	unstamped  int64           // the last offset of a record that the broker has not stamped
	marksDirty bool            // what is first seen is not in the commit yet
	noted      noted           // see Work.Noted
	refused    refusal         // of its commits
}

// prefix is what can be committed: the offset behind the n first works, all done.
type prefix struct {
	lane *lane
	n    int
	at   kgo.EpochOffset
	meta string
	last int64
	// told are works behind those, which meta says are handled and no commit before did;
	// finished is progress.finished when it was made.
	told     []*Work
	finished int64
	noted    int64 // that meta tells
	padded   bool  // to find out how long metadata may be; see metadataLimit
}

// terms are what a commit of a lane depends on apart from its works.
type terms struct {
	transactional bool
	leaving       bool   // the lane is handed over
	marks         bool   // the metadata says when records were first seen that have no stamp
	id            string // of the topic, as the metadata has it
	bits          int64  // there are for what was handled ahead
}

// mayOvertake reports whether a work may be sent before the first that waits. What is
// handled ahead has to fit in the metadata of the commit, which has room for bits of it.
func (s *progress) mayOvertake(q *dueQueue, w *Work, bits int64) bool {
	from, last := s.committed.Offset, max(w.offset, q.farthest)
	if next := q.next; next > 0 {
		from = q.works[next-1].offset + 1
	}
	told := s.ahead.handled
	if n := len(told); n > 0 {
		last = max(last, told[n-1])
	}
	return canTell(int64(q.overtaken+1+len(told)), last+1-from, bits)
}

// news says whether there is anything to commit that the last commit had not.
func (s *progress) news(q *dueQueue, t terms) bool {
	return s.marksDirty || s.noted.news(s.committed.Offset) ||
		len(q.works) > 0 && q.works[0].state == done && (!t.transactional || q.works[0].marker()) ||
		!t.transactional && (q.overtaken > 0 || t.leaving) && s.finished != s.listed
}

// upTo is the prefix of n works. What is done behind them is listed in its metadata: all
// of it, or what a commit before has listed.
func (s *progress) upTo(q *dueQueue, n int, all bool, t terms) prefix {
	p := prefix{n: n, at: s.committed, finished: s.finished}
	if p.n > 0 {
		last := q.works[p.n-1]
		p.at = kgo.EpochOffset{Epoch: last.epoch, Offset: last.offset + 1}
	}
	if n := len(q.works); n > 0 {
		p.last = q.works[n-1].offset
	}
	p.meta = t.id
	if s.refused.bare {
		return p
	}
	if at := q.behindMarkers(s.noted.at); at > p.at.Offset {
		p.noted = at
		p.meta += " " + formatNoted(p.noted)
	}
	if t.marks && s.unstamped >= p.at.Offset { // else there is nothing to mark
		p.meta += " " + formatMarks(q.works[p.n:])
	}
	a, fresh := s.overtaken(q.works[p.n:], p.at.Offset, all, all && t.leaving || q.overtaken > 0)
	text, fit := a.format(t.bits)
	p.meta = strings.TrimSpace(strings.TrimSpace(p.meta) + " " + text)
	if fit < len(a.handled) {
		fresh = slices.DeleteFunc(fresh, func(w *Work) bool { return w.offset >= a.handled[fit] })
	}
	p.told = fresh
	return p
}

// overtaken is what was handled of works, which are behind a commit at an offset: fresh
// are those that no commit has listed, empty unless all are wanted. Without gaps, what is
// done behind a work that is on its way is left out: nothing overtook, and the lane is not
// handed over.
func (s *progress) overtaken(works []*Work, at int64, all, gaps bool) (a ahead, fresh []*Work) {
	a.from = at
	if !gaps && len(s.ahead.handled) == 0 {
		return a, nil
	}
	next := at
	for _, w := range works {
		switch {
		case w.told:
			a.add(w.offset, w.epoch)
		case all && w.state == done && !w.marker():
			a.add(w.offset, w.epoch)
			fresh = append(fresh, w)
		}
		next = w.offset + 1
	}
	a.addFrom(&s.ahead, next) // what we have not even read
	return a, fresh
}

// commit notes that p has been committed, and forgets its works. It returns how many slots
// they held, how many of these are for works that are overdue, and how many works overtook.
func (s *progress) commit(q *dueQueue, p prefix) (held, overdue, overtook int) {
	free := func(w *Work) {
		if w.marker() || w.told { // which holds nothing, or nothing any more
			return
		}
		held++
		if w.overdue {
			overdue++
		}
		if w.overtook {
			overtook++
		}
	}
	for _, w := range q.works[:p.n] {
		free(w)
	}
	for _, w := range p.told {
		free(w)
		w.told = true
	}
	s.listed = p.finished
	if n := len(q.works); n == 0 || q.works[n-1].offset == p.last {
		s.marksDirty = false
	}
	q.drop(p.n)
	s.refused = refusal{bare: s.refused.bare}
	s.committed = p.at
	s.noted.told = max(s.noted.told, p.noted)
	s.ahead.handled = s.ahead.handled[s.ahead.below(p.at.Offset):]
	return held, overdue, overtook
}

// terms returns what a commit of the lane depends on.
func (l *lane) terms() terms {
	return terms{
		transactional: l.c.cfg.Transactional, leaving: l.halt.Err() != nil, marks: l.topic.Wait > 0,
		id: l.id.format(), bits: l.c.metadataLimit.bits(),
	}
}

// news says whether there is anything to commit that the last commit had not.
func (l *lane) news() bool {
	if l.doubted.Load() || l.gone.Load() {
		return false
	}
	t := l.terms()
	l.mu.Lock()
	defer l.mu.Unlock()
	news := l.progress.news(&l.queue, t)
	if !news && l.progress.noted.untold(l.progress.committed.Offset) {
		signal(l.c.some) // what is committed has moved: whether it goes on is known at the next look
	}
	return news
}

// prefix returns what is handled; without news it is what is committed already.
// What belongs to transactions is not its business: see TxnCommitter.
func (l *lane) prefix() prefix {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, all := l.queue.handled(), true
	if l.c.cfg.Transactional {
		n, all = l.queue.markers(), false
	}
	p := l.progress.upTo(&l.queue, n, all, l.terms())
	p.lane = l
	return p
}

// commit says that p has been committed.
func (l *lane) commit(p prefix) {
	l.mu.Lock()
	if !l.live.Load() { // it was in doubt whether p was committed, and the partition is gone
		l.mu.Unlock()
		return
	}
	held, overdue, overtook := l.progress.commit(&l.queue, p)
	l.usage.release(held, overdue)
	l.mu.Unlock()
	l.usage.pool.release(held, overdue)
	l.usage.pool.overtaking.Add(-int64(overtook))
	if l.topic.Aside {
		l.nudge() // see hoards
	}
}
