package deliver

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/delayd-io/delayd/internal/target"
)

const (
	// lookupNames bounds the names of one metadata request, and lookupPause is the
	// least time between two requests: 20,000 names take ten requests and 0.2 s.
	lookupNames = 2000
	lookupPause = 20 * time.Millisecond
	// lookupRetry is the pause after a request that failed.
	lookupRetry = 250 * time.Millisecond
	// lookupWithin bounds one look-up; the next may ask another broker.
	lookupWithin = 2 * time.Second
	// absentFor is how long the answer "missing" or "denied" is used. It bounds how
	// late a topic that was just created is noticed.
	absentFor = time.Second
	// maxAbsent bounds the names with such an answer together with the names that
	// wait for one. At 300 bytes each they take 10 MB.
	maxAbsent = 1 << 15
	// maxAwaited bounds the missing targets that are waited for at a time. Each has a
	// queue, and is asked for once in absentFor.
	maxAwaited = 1000
	// topicIdle is how long an existing topic that nobody looks up is remembered.
	topicIdle = time.Minute
)

// topicInfo is what the cluster says about a topic.
type topicInfo struct {
	asked      time.Time // when the question was sent: the answer is no older
	at         time.Time // when the answer came
	err        error     // why nothing can be written: missing, denied or an illegal name; nil where the topic exists
	id         [16]byte
	partitions int32 // 0: not known
	limit      int32 // max.message.bytes; 0: not known
	compacted  bool  // it takes no record without a key
}

// missing reports whether the topic does not exist, as far as we may know.
func (i topicInfo) missing() bool { return target.Absent(i.err) }

// topicTable knows which topics exist. A name comes from anyone who may write to the
// inbox. So nothing else is made for one (no queue, no goroutine, no place in a
// client) before the table knows it: it exists, or may be waited for.
//
// lookup returns what is known. Where that is nothing, or is too old for the caller,
// it calls want, keeps its record, and looks again after changed was called with the
// name. One goroutine (run) asks for all wanted names in batches, one request at a
// time. want may drop a name when too many are wanted: whoever still keeps a record
// for it calls want again, at its next look.
//
// Existing topics stay known until they are forgotten, or idle for topicIdle; want
// refreshes them. Other answers last for absentFor.
type topicTable struct {
	ask     func(ctx context.Context, topics []string) (map[string]topicInfo, error)
	changed func(topics []string) // called without locks, after each answer

	ready chan struct{} // has room for one: names are wanted

	mu      sync.Mutex
	known   map[string]*knownTopic
	wanted  []string
	asking  int           // names in the request under way
	absent  []absentTopic // answers other than "exists", oldest first
	awaited map[string]bool
}

// knownTopic is an entry of the table. Without an answer it is only wanted.
type knownTopic struct {
	info     topicInfo
	answered bool
	wanted   bool
	used     time.Time
}

// absentTopic is an answer that expires.
type absentTopic struct {
	name string
	at   time.Time
}

func newTopicTable(
	ask func(ctx context.Context, topics []string) (map[string]topicInfo, error), changed func(topics []string),
) *topicTable {
	return &topicTable{
		ask: ask, changed: changed, ready: make(chan struct{}, 1),
		known: make(map[string]*knownTopic), awaited: make(map[string]bool),
	}
}

// lookup returns what is known about topic. known is false where that is nothing, or
// an expired "missing" or "denied".
func (t *topicTable) lookup(topic string, now time.Time) (info topicInfo, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.known[topic]
	if k == nil || !k.answered {
		return topicInfo{}, false
	}
	k.used = now
	if k.info.err != nil && now.Sub(k.info.at) >= absentFor {
		return topicInfo{}, false
	}
	return k.info, true
}

// want asks for topic, also where something is known about it.
func (t *topicTable) want(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.known[topic]
	switch {
	case k == nil:
		if t.full() {
			t.expire(time.Now())
		}
		if t.full() {
			return
		}
		k = new(knownTopic)
		t.known[topic] = k
	case k.wanted:
		return
	}
	k.wanted = true
	t.wanted = append(t.wanted, topic)
	signal(t.ready)
}

// full needs t.mu.
func (t *topicTable) full() bool { return len(t.wanted)+t.asking+len(t.absent) >= maxAbsent }

// await reports whether the missing topic may be waited for: it already is, or fewer
// than maxAwaited others are. release ends that.
func (t *topicTable) await(topic string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.awaited[topic] && len(t.awaited) >= maxAwaited {
		return false
	}
	t.awaited[topic] = true
	return true
}

// release ends the wait for a topic.
func (t *topicTable) release(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.awaited, topic)
}

// drop needs t.mu.
func (t *topicTable) drop(topic string, k *knownTopic) {
	if k.wanted {
		k.answered, k.info = false, topicInfo{}
	} else {
		delete(t.known, topic)
	}
}

// sweep forgets expired answers and idle topics.
func (t *topicTable) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	for topic, k := range t.known {
		if k.answered && k.info.err == nil && now.Sub(k.used) >= topicIdle {
			t.drop(topic, k)
		}
	}
}

// expire drops answers other than "exists" after absentFor. It needs t.mu.
func (t *topicTable) expire(now time.Time) {
	n := 0
	for n < len(t.absent) && now.Sub(t.absent[n].at) >= absentFor {
		a := t.absent[n]
		if k := t.known[a.name]; k != nil && k.info.err != nil && k.info.at.Equal(a.at) {
			t.drop(a.name, k)
		}
		n++
	}
	if n > 0 {
		t.absent = slices.Delete(t.absent, 0, n)
	}
}

// run answers what is wanted, until ctx ends. A request that fails is repeated.
func (t *topicTable) run(ctx context.Context, failed func(error)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select { // the pause, or the start
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
			return
		}
		pause := lookupPause
		if err := t.answer(ctx); err != nil && ctx.Err() == nil {
			failed(err)
			pause = lookupRetry
		}
		timer.Reset(pause)
	}
}

// answer asks for the names that have been wanted for longest.
func (t *topicTable) answer(ctx context.Context) error {
	topics := t.next()
	if len(topics) == 0 {
		return nil
	}
	asked := time.Now()
	try, cancel := context.WithTimeout(ctx, lookupWithin)
	defer cancel()
	infos, err := t.ask(try, topics)
	if err != nil {
		t.mu.Lock()
		t.wanted, t.asking = append(topics, t.wanted...), 0
		t.mu.Unlock()
		signal(t.ready)
		return err
	}
	t.note(topics, infos, asked)
	t.changed(topics)
	return nil
}

// next takes the next names off the wanted ones.
func (t *topicTable) next() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.wanted), lookupNames)
	topics := slices.Clone(t.wanted[:n])
	t.wanted, t.asking = slices.Delete(t.wanted, 0, n), n
	if len(t.wanted) > 0 {
		signal(t.ready)
	}
	return topics
}

// note keeps the answers. A topic that the answer leaves out stays as it was.
func (t *topicTable) note(topics []string, infos map[string]topicInfo, asked time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.expire(now)
	t.asking = 0
	for _, topic := range topics {
		k := t.known[topic]
		k.wanted = false
		info, ok := infos[topic]
		if !ok {
			if !k.answered {
				delete(t.known, topic)
			}
			continue
		}
		if info.limit == 0 && info.err == nil { // its settings cannot be read just now
			info.limit, info.compacted = k.info.limit, k.info.compacted
		}
		info.asked, info.at = asked, now
		k.info, k.answered, k.used = info, true, now
		if info.err != nil {
			t.absent = append(t.absent, absentTopic{topic, now})
		}
	}
}
