package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	ctl "github.com/delayd-io/delayd/internal/control"
	"github.com/delayd-io/delayd/levels"
)

// Settings is what a service has been started with, as far as tools have to know it.
// It is kept on the control topic, where the instance that was started last has the last
// word: also of a service that does not run.
type Settings struct {
	Levels     levels.Ladder `json:"levels"`
	Partitions int32         `json:"partitions"` // of topics that it creates
	Delivery   string        `json:"delivery"`   // at-least-once or exactly-once
	Instance   string        `json:"instance"`   // that has published it
	Since      time.Time     `json:"since"`      // when that was; set by Published
}

// Publish writes what a service is started with, unless the control topic says so
// already. It needs READ and WRITE there.
func Publish(ctx context.Context, cl *kgo.Client, names levels.Names, s Settings) error {
	before, err := Published(ctx, cl, names)
	if err != nil {
		return err
	}
	if before != nil && before.Levels.String() == s.Levels.String() && before.Partitions == s.Partitions && before.Delivery == s.Delivery {
		return nil
	}
	return setControl(ctx, cl, names, ctl.SettingsKey, ctl.Switch{Settings: &ctl.Settings{
		Levels: s.Levels.String(), Partitions: s.Partitions, Delivery: s.Delivery, Instance: s.Instance,
	}})
}

// Published returns what the service has published, nil where it has not.
func Published(ctx context.Context, cl *kgo.Client, names levels.Names) (*Settings, error) {
	state, err := ctl.Read(ctx, names.Control(), cl.Opts()...)
	if err != nil {
		return nil, err
	}
	s, ok := state[ctl.SettingsKey]
	if !ok || s.Settings == nil {
		return nil, nil
	}
	ladder, err := levels.Parse(s.Settings.Levels)
	if err != nil {
		return nil, fmt.Errorf("%s of topic %s: %w", ctl.SettingsKey, names.Control(), err)
	}
	return &Settings{
		Levels: ladder, Partitions: s.Settings.Partitions, Delivery: s.Settings.Delivery, Instance: s.Settings.Instance, Since: s.At,
	}, nil
}

// LevelTopics are the topics of levels that there are, whatever the ladder, from the
// shortest to the longest.
func LevelTopics(ctx context.Context, cl *kgo.Client, names levels.Names) ([]string, error) {
	_, seen, err := metadata(ctx, cl)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, t := range (Spec{Names: names}).retiredTopics(seen) {
		list = append(list, t.name)
	}
	return slices.Clip(list), nil
}
