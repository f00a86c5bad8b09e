package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
)

// watchEvery is how often a running service looks whether its topics are still as
// they should be. A broker looks for records to delete every five minutes unless
// configured: there is time to fix a retention before it does.
const watchEvery = 30 * time.Second

// watch checks the topics of a running service: somebody may change their settings
// at any time. Nothing stops for it, because to stop would not save what a setting
// is about to delete.
type watch struct {
	s               *service
	spec            admin.Spec
	drifted, unsafe prometheus.Gauge
	told            map[string]string // by topic: what was said of it last
}

func newWatch(s *service) *watch {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		s.registry.MustRegister(g)
		return g
	}
	return &watch{
		s: s, spec: s.spec().Remembering(), told: make(map[string]string),
		drifted: gauge("delayd_topics_drifted", "Topics of the service that differ from what is wanted in a way that it can live with."),
		unsafe:  gauge("delayd_topics_unsafe", "Topics of the service that are missing, would lose records, or are read by another group."),
	}
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context, cl *kgo.Client) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		results, err := admin.Verify(ctx, cl, w.spec)
		if len(results) > 0 && ctx.Err() == nil {
			w.tell(results)
		} else if ctx.Err() == nil {
			w.s.log.Warn().Err(err).Msg("cannot check the topics: retrying")
		}
	}
}

// tell sets the gauges, and logs what has changed since the last call.
func (w *watch) tell(results admin.Results) {
	drifted, unsafe := 0, 0
	for _, r := range results {
		text, level, message := "", zerolog.WarnLevel, "topic differs from what is wanted"
		switch r.Outcome {
		case admin.OutcomeFailed:
			unsafe++
			text, level, message = detail(r), zerolog.ErrorLevel, "topic is missing, or would lose records"
		case admin.OutcomeShared:
			unsafe++
			text, level, message = r.Detail, zerolog.ErrorLevel, "topic is read by another group"
		case admin.OutcomeDrifted:
			drifted++
			text = r.Detail
		}
		before, known := w.told[r.Topic]
		w.told[r.Topic] = text
		switch {
		case known && text == before:
		case text != "":
			w.s.log.WithLevel(level).Str("topic", r.Topic).Str("detail", text).Msg(message)
		case before != "":
			w.s.log.Info().Str("topic", r.Topic).Msg("topic is as it should be again")
		}
	}
	w.drifted.Set(float64(drifted))
	w.unsafe.Set(float64(unsafe))
}
