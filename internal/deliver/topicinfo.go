package deliver

import (
	"context"
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
	answers topicAnswers
	awaited map[string]bool
}

func newTopicTable(
	ask func(ctx context.Context, topics []string) (map[string]topicInfo, error), changed func(topics []string),
) *topicTable {
	return &topicTable{
		ask: ask, changed: changed, ready: make(chan struct{}, 1),
		answers: topicAnswers{known: make(map[string]*knownTopic)}, awaited: make(map[string]bool),
	}
}

// lookup returns what is known about topic. known is false where that is nothing, or
// an expired "missing" or "denied".
func (t *topicTable) lookup(topic string, now time.Time) (info topicInfo, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answers.lookup(topic, now)
}

// want asks for topic, also where something is known about it.
func (t *topicTable) want(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.answers.want(topic, time.Now()) {
		signal(t.ready)
	}
}

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

// sweep forgets expired answers and idle topics.
func (t *topicTable) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers.sweep(now)
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
		t.answers.unasked(topics)
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
	topics, more := t.answers.next()
	if more {
		signal(t.ready)
	}
	return topics
}

// note keeps the answers. A topic that the answer leaves out stays as it was.
func (t *topicTable) note(topics []string, infos map[string]topicInfo, asked time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers.note(topics, infos, asked, time.Now())
}
