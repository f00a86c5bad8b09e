package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/internal/offsets"
)

// listEvery is how often somebody who remembers lists all topics of the cluster.
const listEvery = 5 * time.Minute

// memory is what is known of topics and groups that are not ours, which a cluster can
// have any number of.
type memory struct {
	others *offsets.Others

	mu     sync.Mutex
	levels []string // topics that are called, or meant to be called, like a level's
	listed time.Time
}

// Remembering returns the spec for somebody who verifies or counts again and again. It
// looks for topics of levels that are not in the ladder, and for misspelt ones, only every
// five minutes. A group that has nothing to do with our topics is asked again when its
// state changes, or after up to an hour.
func (s Spec) Remembering() Spec {
	s.memory = &memory{others: s.others()}
	return s
}

// others finds commits of other groups than our own.
func (s Spec) others() *offsets.Others {
	if s.memory != nil {
		return s.memory.others
	}
	return offsets.NewOthers(s.Names.ForwarderGroup(), s.Names.PurgedGroup(), s.Names.SkippedGroup())
}

// look looks up the topics of the service, those of levels that are not in the ladder
// any more, and misspelt ones.
func (s Spec) look(ctx context.Context, cl *kgo.Client) (cluster, map[string]describe.Topic, error) {
	levels, err := s.levelTopics(ctx, cl)
	if err != nil {
		return cluster{}, nil, err
	}
	return metadata(ctx, cl, append(names(s.topics()), levels...)...)
}

// levelTopics lists the topics that are called like a level's, or misspelt.
func (s Spec) levelTopics(ctx context.Context, cl *kgo.Client) (levels []string, err error) {
	m := s.memory
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.listed.IsZero() && time.Since(m.listed) < listEvery {
			return m.levels, nil
		}
	}
	_, all, err := metadata(ctx, cl)
	if err != nil {
		return nil, err
	}
	ours := names(s.topics())
	for name := range all {
		_, level := s.Names.LevelDelay(name)
		_, misspelt := s.Names.Meant(name)
		if (level || misspelt) && !slices.Contains(ours, name) {
			levels = append(levels, name)
		}
	}
	if m != nil {
		m.levels, m.listed = levels, time.Now()
	}
	return levels, nil
}
