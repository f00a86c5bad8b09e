package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/admin"
)

// What changes on a topic is reported once: as an error where it would lose records, as
// a warning where it would not, and when it is over.
func TestWatchTellsWhatChanges(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s := &service{log: zerolog.New(&log), registry: reg}
	w := newWatch(s)
	const topic = "delay.level.5s"
	short := admin.Result{Topic: topic, Outcome: admin.OutcomeDrifted, Detail: "retention.ms=60000, want -1"}
	tooShort := admin.Result{Topic: topic, Outcome: admin.OutcomeFailed, Err: errors.New("retention.ms=1000 would delete records")}
	for i, step := range []struct {
		result          admin.Result
		drifted, unsafe float64
		want            string // of the log, "" for nothing
	}{
		{result: admin.Result{Topic: topic, Outcome: admin.OutcomeExisted}},
		{result: short, drifted: 1, want: `"level":"warn","topic":"delay.level.5s","detail":"retention.ms=60000, want -1","message":"topic differs from what is wanted"`},
		{result: short, drifted: 1},
		{result: tooShort, unsafe: 1, want: `"level":"error","topic":"delay.level.5s","detail":"retention.ms=1000 would delete records","message":"topic is missing, or would lose records"`},
		{result: tooShort, unsafe: 1},
		{result: admin.Result{Topic: topic, Outcome: admin.OutcomeExisted}, want: "topic is as it should be again"},
		{result: admin.Result{Topic: topic, Outcome: admin.OutcomeExisted}},
	} {
		log.Reset()
		w.tell(admin.Results{step.result})
		if got := log.String(); (got == "") != (step.want == "") || !strings.Contains(got, step.want) {
			t.Errorf("step %d: log %q, want %q", i, got, step.want)
		}
		if drifted, unsafe := gaugeValue(t, reg, "delayd_topics_drifted"), gaugeValue(t, reg, "delayd_topics_unsafe"); drifted != step.drifted || unsafe != step.unsafe {
			t.Errorf("step %d: %v drifted and %v unsafe, want %v and %v", i, drifted, unsafe, step.drifted, step.unsafe)
		}
	}
}

func gaugeValue(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}
