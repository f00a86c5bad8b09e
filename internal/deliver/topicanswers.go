package deliver

import (
	"slices"
	"time"
)

// topicAnswers are what a topicTable has asked for and what the cluster said. They have no
// client, clock or lock.
type topicAnswers struct {
	known  map[string]*knownTopic
	wanted []string
	asking int           // names in the request under way
	absent []absentTopic // answers other than "exists", oldest first
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

func (a *topicAnswers) lookup(topic string, now time.Time) (info topicInfo, known bool) {
	k := a.known[topic]
	if k == nil || !k.answered {
		return topicInfo{}, false
	}
	k.used = now
	if k.info.err != nil && now.Sub(k.info.at) >= absentFor {
		return topicInfo{}, false
	}
	return k.info, true
}

// want reports whether topic is wanted as of now, and was not before.
func (a *topicAnswers) want(topic string, now time.Time) bool {
	k := a.known[topic]
	switch {
	case k == nil:
		if a.full() {
			a.expire(now)
		}
		if a.full() {
			return false
		}
		k = new(knownTopic)
		a.known[topic] = k
	case k.wanted:
		return false
	}
	k.wanted = true
	a.wanted = append(a.wanted, topic)
	return true
}

func (a *topicAnswers) full() bool { return len(a.wanted)+a.asking+len(a.absent) >= maxAbsent }

func (a *topicAnswers) drop(topic string, k *knownTopic) {
	if k.wanted {
		k.answered, k.info = false, topicInfo{}
	} else {
		delete(a.known, topic)
	}
}

// sweep forgets expired answers and idle topics.
func (a *topicAnswers) sweep(now time.Time) {
	a.expire(now)
	for topic, k := range a.known {
		if k.answered && k.info.err == nil && now.Sub(k.used) >= topicIdle {
			a.drop(topic, k)
		}
	}
}

// expire drops answers other than "exists" after absentFor.
func (a *topicAnswers) expire(now time.Time) {
	n := 0
	for n < len(a.absent) && now.Sub(a.absent[n].at) >= absentFor {
		gone := a.absent[n]
		if k := a.known[gone.name]; k != nil && k.info.err != nil && k.info.at.Equal(gone.at) {
			a.drop(gone.name, k)
		}
		n++
	}
	if n > 0 {
		a.absent = slices.Delete(a.absent, 0, n)
	}
}

// next takes the next names off the wanted ones, to be asked for. more says that some are
// left.
func (a *topicAnswers) next() (topics []string, more bool) {
	n := min(len(a.wanted), lookupNames)
	topics = slices.Clone(a.wanted[:n])
	a.wanted, a.asking = slices.Delete(a.wanted, 0, n), n
	return topics, len(a.wanted) > 0
}

// unasked takes back what next returned: the request failed.
func (a *topicAnswers) unasked(topics []string) {
	a.wanted, a.asking = append(topics, a.wanted...), 0
}

// note keeps the answers. A topic that the answer leaves out stays as it was.
func (a *topicAnswers) note(topics []string, infos map[string]topicInfo, asked, now time.Time) {
	a.expire(now)
	a.asking = 0
	for _, topic := range topics {
		k := a.known[topic]
		k.wanted = false
		info, ok := infos[topic]
		if !ok {
			if !k.answered {
				delete(a.known, topic)
			}
			continue
		}
		if info.limit == 0 && info.err == nil { // its settings cannot be read just now
			info.limit, info.compacted = k.info.limit, k.info.compacted
		}
		info.asked, info.at = asked, now
		k.info, k.answered, k.used = info, true, now
		if info.err != nil {
			a.absent = append(a.absent, absentTopic{topic, now})
		}
	}
}
