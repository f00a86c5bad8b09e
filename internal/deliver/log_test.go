//go:build synctests

package deliver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestLogOfManyTargets: 300 targets refuse for ten seconds. The log is bounded by time,
// and says how much it leaves out.
func TestLogOfManyTargets(t *testing.T) {
	const targets, lasts = 300, 10
	log := new(bytes.Buffer)
	virtual(t, Config{GiveUp: time.Hour, Log: zerolog.New(zerolog.SyncWriter(log))}, func(w *world) {
		for i := range targets {
			topic := fmt.Sprint("target-", i)
			w.create(topic, 0, nil)
			w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1})
			w.deliver(topic, "x")
		}
		time.Sleep(lasts * time.Second)
	})
	lines, leftOut := 0, 0
	for dec := json.NewDecoder(log); dec.More(); lines++ {
		var line struct{ Suppressed int }
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		leftOut += line.Suppressed
	}
	if most := (lasts + 2) * (targetLogs + 1); lines > most || leftOut < targets {
		t.Errorf("%d lines, and %d left out; want at most %d lines, and the others counted", lines, leftOut, most)
	}
}
