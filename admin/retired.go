package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// retiredTopics are the level topics among those that were found that are not in the
// ladder, from the shortest to the longest.
func (s Spec) retiredTopics(seen map[string]found) []topic {
	inLadder := make(map[string]bool)
	for l := range s.Ladder.All() {
		inLadder[s.Names.Level(l)] = true
	}
	var list []topic
	for name := range seen {
		if delay, ok := s.Names.LevelDelay(name); ok && !inLadder[name] {
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
	c, seen, err := metadata(ctx, cl)
	if err != nil {
		return nil
	}
	var results Results
	topics := s.retiredTopics(seen)
	if len(topics) == 0 {
		return nil // none named would be all
	}
	settings, err := topicSettings(ctx, cl, names(topics))
	for _, t := range topics {
		r := Result{Topic: t.name, Outcome: Existed}
		r.note(fmt.Sprintf("level %s is not in the ladder: it is emptied, and gets no new records from the inbox", levels.FormatDelay(t.delay)))
		switch d := settings[t.name]; {
		case err != nil:
			r.note(fmt.Sprintf("settings not verified: %v", err))
		case d.err != nil:
			r.note(fmt.Sprintf("settings not verified: %v", d.err))
		default:
			for _, drift := range t.drifts(s, c, seen[t.name], d.values, toolsFor(cl)) {
				if drift.Unsafe {
					r.Outcome = Drifted
					r.note(fmt.Sprintf("topic %s: %v", t.name, drift))
				}
			}
		}
		results = append(results, r)
	}
	return results
}
