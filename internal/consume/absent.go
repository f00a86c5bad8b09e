package consume

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A topic that is to be read may not be there yet: nobody has made it, or the ladder has
// more levels than were provisioned. franz-go waits for it in silence, and does not even
// join the group while none is there.

// absentLogEvery is how often the topics are logged that still do not exist.
const absentLogEvery = 10 * time.Minute

// absences are the topics that have not been seen since the start.
type absences struct {
	misses map[string]int // in how many look-ups each was missing
	logged time.Time      // when those that do not exist were logged
}

func newAbsences(topics []Topic) absences {
	a := absences{misses: make(map[string]int)}
	for i := range topics {
		a.misses[topics[i].Name] = 0
	}
	return a
}

// unseen reports whether a topic has not been seen yet.
func (a *absences) unseen(topic string) bool {
	_, ok := a.misses[topic]
	return ok
}

// see notes that a topic exists, and reports whether it had been missing.
func (a *absences) see(topic string) (missed bool) {
	missed = a.misses[topic] >= topicMisses
	delete(a.misses, topic)
	return missed
}

// miss notes that a look-up did not find a topic, and reports whether that is news.
func (a *absences) miss(topic string) (news bool) {
	a.misses[topic]++
	return a.misses[topic] == topicMisses
}

// missing returns the topics that do not exist, sorted.
func (a *absences) missing() []string {
	var names []string
	for name, n := range a.misses {
		if n >= topicMisses { // a broker that has just started may not know it yet
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// checkAbsent notes which of the topics that have not been seen were found, logs those
// that do not exist, and returns whether there is one to be read now.
func (c *Consumer) checkAbsent(found kadm.TopicDetails, now time.Time) (appeared bool) {
	c.mu.Lock()
	var there []string
	news := false
	for _, name := range slices.Collect(maps.Keys(c.absences.misses)) {
		topic, ok := found[name]
		switch err := topic.Err; {
		case !ok:
		case err == nil && c.absences.see(name):
			there = append(there, name)
		case unknown(err):
			news = c.absences.miss(name) || news
		}
	}
	missing := c.absences.missing()
	warn := len(missing) > 0 && (news || now.Sub(c.absences.logged) >= absentLogEvery)
	if warn {
		c.absences.logged = now
	}
	c.mu.Unlock()
	if len(there) > 0 {
		slices.Sort(there)
		c.log.Info().Strs("topics", there).Msg("topics are there: reading them")
	}
	if warn {
		c.log.Warn().Strs("topics", missing).
			Msg("topics do not exist and are not read; create them with delayd admin provision or admin.Ensure: they are read as soon as they exist")
	}
	return len(there) > 0
}

// nonexistent returns an error that names the topics which do not exist, nil if all do.
func (c *Consumer) nonexistent() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	missing := c.absences.missing()
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("topics that do not exist and are not read: %s; create them with `delayd admin provision` or admin.Ensure", strings.Join(missing, ", "))
}
