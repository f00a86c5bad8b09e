package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

const (
	// prefixBytes of chance make the names of a run, so that they are never
	// those of a topic that is there already.
	prefixBytes = 4
	// cleanWait is how long the topics of a run may take to be deleted, also
	// when the bench was told to end.
	cleanWait = 30 * time.Second
	// clusterDefault leaves the number of replicas to the cluster.
	clusterDefault = -1
)

// stage is the topics of one run. They are made for it and deleted after it.
type stage struct {
	b       *bench
	kind    Kind
	names   levels.Names
	targets []string
	// sick leaves out the first target, which does not exist until it is healed.
	// It is the one sickness that any cluster can have and be healed of.
	sick bool
}

// newStage names a stage; create makes its topics.
func (b *bench) newStage(kind Kind, targets int) *stage {
	var id [prefixBytes]byte
	rand.Read(id[:]) // never fails
	s := &stage{b: b, kind: kind, names: levels.Names{Prefix: "bench-" + hex.EncodeToString(id[:])}}
	for i := range targets {
		s.targets = append(s.targets, s.names.Prefix+"-target-"+strconv.Itoa(i))
	}
	return s
}

// source is the topic that a yardstick reads for a level.
func (s *stage) source(l levels.Level) string { return s.names.Prefix + "-source-" + l.String() }

func (s *stage) group() string { return s.names.Prefix + "-" + string(s.kind) }

// there are the targets that exist from the start.
func (s *stage) there() []string {
	if s.sick {
		return s.targets[1:]
	}
	return s.targets
}

// create makes the targets and the topics that the contender reads.
func (s *stage) create(ctx context.Context) error {
	if err := s.createTopics(ctx, nil, s.there()...); err != nil {
		return err
	}
	if s.kind == Delayd {
		_, err := admin.Ensure(ctx, s.b.client, admin.Spec{
			Ladder: s.b.ladder, Names: s.names, Partitions: s.b.Load.Partitions, Replicas: clusterDefault,
		})
		return err
	}
	var sources []string
	for _, level := range s.b.Load.Levels {
		sources = append(sources, s.source(level))
	}
	return s.createTopics(ctx, map[string]string{
		"message.timestamp.type": "LogAppendTime", "retention.ms": "-1", "retention.bytes": "-1",
	}, sources...)
}

// heal makes the sick target.
func (s *stage) heal(ctx context.Context) error { return s.createTopics(ctx, nil, s.targets[0]) }

func (s *stage) createTopics(ctx context.Context, settings map[string]string, topics ...string) error {
	configs := make(map[string]*string)
	for k, v := range settings {
		configs[k] = &v
	}
	answers, err := s.b.adm.CreateTopics(ctx, s.b.Load.Partitions, clusterDefault, configs, topics...)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("create topics %s: %w; the bench needs the right to create and delete topics that begin with bench-",
			strings.Join(topics, ", "), err)
	}
	return s.b.appear(ctx, topics)
}

// remove deletes everything of the run. What cannot be deleted is logged: the
// run is over, and its figures are right.
func (s *stage) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWait)
	defer cancel()
	if err := errors.Join(s.removeTopics(ctx), s.removeGroups(ctx)); err != nil {
		s.b.Log.Warn().Err(err).Str("prefix", s.names.Prefix).Msg("topics or groups of the bench are left behind; delete what begins with the prefix")
	}
}

func (s *stage) removeTopics(ctx context.Context) error {
	topics, err := s.topics(ctx)
	if err != nil || len(topics) == 0 {
		return err
	}
	answers, err := s.b.adm.DeleteTopics(ctx, topics...)
	if err == nil {
		err = answers.Error()
	}
	return err
}

// topics are those of the run. The brokers are asked, because what the client
// remembers may be older than the last of them.
func (s *stage) topics(ctx context.Context) ([]string, error) {
	resp, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, s.b.client) // of no topic in particular: all
	if err != nil {
		return nil, fmt.Errorf("list the topics: %w", err)
	}
	var ours []string
	for _, t := range resp.Topics {
		if t.Topic != nil && strings.HasPrefix(*t.Topic, s.names.Prefix) {
			ours = append(ours, *t.Topic)
		}
	}
	return ours, nil
}

// removeGroups deletes the groups. A static member stays in its group for a
// while after its end, so it is taken out first.
func (s *stage) removeGroups(ctx context.Context) error {
	groups, err := s.b.adm.ListGroups(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for name := range groups {
		if !strings.HasPrefix(name, s.names.Prefix) {
			continue
		}
		if s.kind == Delayd {
			// An error says that it is not a member, as it should be.
			_, _ = s.b.adm.LeaveGroup(ctx, kadm.LeaveGroup(name).InstanceIDs(instance))
		}
		answer, err := s.b.adm.DeleteGroup(ctx, name)
		if err == nil {
			err = answer.Err
		}
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			errs = append(errs, fmt.Errorf("delete group %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// address says where the records of a load go in.
func (s *stage) address(d deck, through string) func(id int64) (string, []kgo.RecordHeader) {
	if s.kind == Copy {
		return s.ready(d)
	}
	if d.exact > 0 {
		return s.exactly(d, through)
	}
	topics := make([]string, len(d.levels))
	headers := make([][][]kgo.RecordHeader, len(d.levels)) // by level and target
	for i, level := range d.levels {
		switch {
		case s.kind != Delayd:
			topics[i] = s.source(level)
		case through == ThroughInbox:
			topics[i] = s.names.Inbox()
		default:
			topics[i] = s.names.Level(level)
		}
		for _, target := range s.targets {
			h := []kgo.RecordHeader{{Key: levels.HeaderTarget, Value: []byte(target)}}
			if through == ThroughInbox {
				h = append(h, kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte(level.String())})
			}
			headers[i] = append(headers[i], h)
		}
	}
	return func(id int64) (string, []kgo.RecordHeader) {
		level := d.level(id)
		return topics[level], headers[level][d.target(id)]
	}
}

// exactly is where records go that ask for an exact delay each.
func (s *stage) exactly(d deck, through string) func(id int64) (string, []kgo.RecordHeader) {
	return func(id int64) (string, []kgo.RecordHeader) {
		delay := d.delay(id)
		topic := s.names.Inbox()
		if through != ThroughInbox {
			topic = s.names.Level(s.b.ladder.Step(delay))
		}
		return topic, []kgo.RecordHeader{
			{Key: levels.HeaderTarget, Value: []byte(s.targets[d.target(id)])},
			{Key: levels.HeaderFor, Value: []byte(levels.FormatDelay(delay))},
		}
	}
}

// ready is where the copy's records go in. They carry all the headers that the
// service puts on, so that the same bytes go out of both.
func (s *stage) ready(d deck) func(id int64) (string, []kgo.RecordHeader) {
	return func(id int64) (string, []kgo.RecordHeader) {
		level := d.levels[d.level(id)]
		now := time.Now().UnixMilli()
		src := &kgo.Record{Topic: s.names.Level(level), Offset: id / int64(s.b.Load.Partitions)}
		if s.b.Load.Through == ThroughInbox {
			src.Headers = []kgo.RecordHeader{{Key: levels.HeaderLevel, Value: []byte(level.String())}}
			src.Topic = s.names.Inbox()
		}
		return s.source(level), record.Final(src, levels.Facts{
			ID: record.OriginID(src, now), Due: now + level.Delay.Milliseconds() + 1, Accepted: now, Granted: level.String(),
		}).Headers
	}
}
