package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	ctl "github.com/delayd-io/delayd/internal/control"
	"github.com/delayd-io/delayd/levels"
)

// Paused is a level or a target that is paused: one of the two is set.
type Paused struct {
	Level  string    `json:"level,omitempty"`  // its canonical name
	Target string    `json:"target,omitempty"` // its topic
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"` // as given by whoever paused it
}

// String is the level or the target, in words.
func (p Paused) String() string {
	if p.Level != "" {
		return "level " + p.Level
	}
	return "target " + p.Target
}

// LevelOf and TargetOf say what is to be paused or resumed.
func LevelOf(delay time.Duration) Paused { return Paused{Level: levels.FormatDelay(delay)} }

// TargetOf is the same for a target.
func TargetOf(topic string) Paused { return Paused{Target: topic} }

func (p Paused) key() ctl.Key {
	if p.Level != "" {
		return ctl.Key{Kind: ctl.Level, Name: p.Level}
	}
	return ctl.Key{Kind: ctl.Target, Name: p.Target}
}

// Pauses returns what is paused: the levels, then the targets.
func Pauses(ctx context.Context, cl *kgo.Client, names levels.Names) ([]Paused, error) {
	state, err := ctl.Read(ctx, names.Control(), cl.Opts()...)
	if err != nil {
		return nil, err
	}
	var list []Paused
	for key, s := range state {
		p := Paused{Since: s.At, Reason: s.Reason}
		switch {
		case !s.Paused:
			continue
		case key.Kind == ctl.Level:
			p.Level = key.Name
		default:
			p.Target = key.Name
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Paused) int {
		delay := func(p Paused) time.Duration { d, _ := levels.ParseDelay(p.Level); return d }
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(delay(a), delay(b)))
	})
	return list, nil
}

// Pause has every instance stop delivering the records of a level, or to a target,
// until Resume. Running instances hear of it within a second or so; records in flight
// then still arrive. Nothing is lost: records of a level stay on its topic, and those
// for a target are parked. To pause again replaces the reason.
func Pause(ctx context.Context, cl *kgo.Client, names levels.Names, p Paused) error {
	if err := p.check(ctx, cl, names); err != nil {
		return err
	}
	return setControl(ctx, cl, names, p.key(), ctl.Switch{Paused: true, Reason: p.Reason})
}

// Resume takes Pause back. What is overdue is delivered at once, in order.
func Resume(ctx context.Context, cl *kgo.Client, names levels.Names, p Paused) error {
	return setControl(ctx, cl, names, p.key(), ctl.Switch{})
}

// check refuses to pause what there is not: it would be a word that somebody
// misspelt, and the real one would go on.
func (p Paused) check(ctx context.Context, cl *kgo.Client, names levels.Names) error {
	if p.Level == "" {
		if err := levels.CheckTopic(p.Target); err != nil {
			return err
		}
		if names.Owns(p.Target) {
			return fmt.Errorf("target %s is one of the delay service's own topics; pause a topic that is delivered to", p.Target)
		}
		return nil
	}
	delay, err := levels.ParseDelay(p.Level)
	if err != nil {
		return err
	}
	topic := names.Level(levels.Level{Delay: delay})
	_, seen, err := metadata(ctx, cl, topic)
	if err != nil {
		return err
	}
	if f := seen[topic]; f.Err != nil {
		return f.Err
	} else if !f.Exists() {
		return fmt.Errorf("level %s: there is no topic %s; delayd admin status lists the levels that there are", p.Level, topic)
	}
	return nil
}

// setControl writes what is to be, waits until all replicas have it, and looks whether
// those who follow the topic know it. They read its first partition only, also where
// somebody has made the topic with more.
func setControl(ctx context.Context, cl *kgo.Client, names levels.Names, key ctl.Key, s ctl.Switch) error {
	topic := names.Control()
	rec, err := ctl.Record(topic, key, s)
	if err != nil {
		return err
	}
	writer, err := kgo.NewClient(append(cl.Opts(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer writer.Close()
	err = writer.ProduceSync(ctx, rec).FirstErr()
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("write to %s: %w; check the prefix, or create it with delayd admin provision", topic, err)
	}
	if err != nil {
		return fmt.Errorf("write to %s: %w", topic, connect.GrantTopic(err, connect.Write, topic))
	}
	state, err := ctl.Read(ctx, topic, cl.Opts()...)
	if err != nil {
		return fmt.Errorf("written to %s, and not known whether it counts: %w", topic, err)
	}
	if !state.Has(key, rec) {
		return fmt.Errorf("topic %s: what was written at offset %d is not there any more; delayd admin plan says how the topic has to be set", topic, rec.Offset)
	}
	return nil
}
