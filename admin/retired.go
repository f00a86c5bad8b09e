package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/levels"
)

// retiredTopics are the level topics among those that were found that are not in the
// ladder, from the shortest to the longest.
func (s Spec) retiredTopics(seen map[string]describe.Topic) []topic {
	inLadder := make(map[string]bool)
	for l := range s.Ladder.All() {
		inLadder[s.Names.Level(l)] = true
	}
	var list []topic
	for name, f := range seen {
		if delay, ok := s.Names.LevelDelay(name); ok && !inLadder[name] && f.Exists() {
			list = append(list, topic{name: name, kind: level, delay: delay, rules: s.Profile.rules()})
		}
	}
	slices.SortFunc(list, func(a, b topic) int { return cmp.Compare(a.delay, b.delay) })
	return list
}

// retired verifies the settings of level topics that were taken out of the ladder:
// records may wait there, and are as easily deleted as those of the others. Nothing
// about them fails, because a service that did not start would not empty them.
func (s Spec) retired(ctx context.Context, cl *kgo.Client) Results {
	c, seen, err := s.look(ctx, cl)
	if err != nil {
		return nil
	}
	var results Results
	strays := s.strays(seen)
	topics := s.retiredTopics(seen)
	if len(topics) == 0 {
		return strays // none named would be all
	}
	settings, err := topicSettings(ctx, cl, names(topics))
	for _, t := range topics {
		r := Result{Topic: t.name, Outcome: OutcomeExisted}
		r.note(fmt.Sprintf("level %s is not in the ladder: it is emptied, and gets no new records from the inbox", levels.FormatDelay(t.delay)))
		switch d := settings[t.name]; {
		case err != nil:
			r.note(fmt.Sprintf("settings not verified: %v", err))
		case d.Err != nil:
			r.note(fmt.Sprintf("settings not verified: %v", d.Err))
		default:
			for _, drift := range t.drifts(s, c, seen[t.name], d.Values, toolsFor(cl)) {
				if drift.Unsafe {
					r.Outcome = OutcomeDrifted
					r.note(fmt.Sprintf("topic %s: %v", t.name, drift))
				}
			}
		}
		results = append(results, r)
	}
	return append(results, strays...)
}

// strays are the topics that are spelled like the inbox or a level's, and are none: what
// is written there waits for ever.
func (s Spec) strays(seen map[string]describe.Topic) (results Results) {
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		right, misspelt := s.Names.Meant(name)
		if !misspelt || !seen[name].Exists() {
			continue
		}
		r := Result{Topic: name, Outcome: OutcomeDrifted}
		known := slices.ContainsFunc(s.topics(), func(t topic) bool { return t.name == right })
		switch {
		case right == "":
			r.note(fmt.Sprintf("topic %s: nothing reads it, because no level is spelled so; have its producers write to a level's topic, as in %s, and send again what is on it",
				name, s.Names.Level(s.Ladder.First())))
		case !known:
			r.note(fmt.Sprintf("topic %s: nothing reads it; it is meant to be %s, which is no level of this ladder; have its producers write to a level that there is, and send again what is on it", name, right))
		default:
			r.note(fmt.Sprintf("topic %s: nothing reads it; it is meant to be %s; have its producers write there, and send again what is on it", name, right))
		}
		results = append(results, r)
	}
	return results
}
