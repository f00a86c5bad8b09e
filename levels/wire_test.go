package levels_test

import (
	"testing"

	"github.com/delayd-io/delayd/levels"
)

// What other programs read and write is spelled out here once more, so that it
// cannot change by accident.
func TestWireNames(t *testing.T) {
	for got, want := range map[string]string{
		levels.HeaderLevel:       "delay-level",
		levels.HeaderTarget:      "delay-target",
		levels.HeaderPartition:   "delay-partition",
		levels.HeaderID:          "delay-id",
		levels.HeaderSent:        "delay-sent",
		levels.HeaderDue:         "delay-due",
		levels.HeaderAccepted:    "delay-accepted",
		levels.HeaderGranted:     "delay-granted",
		levels.HeaderRequested:   "delay-requested",
		levels.HeaderPreviousID:  "delay-previous-id",
		levels.HeaderError:       "delay-error",
		levels.HeaderErrorDetail: "delay-error-detail",
		levels.HeaderOrigin:      "delay-origin",
		levels.HeaderAttempts:    "delay-attempts",

		string(levels.BadLevel):        "bad-level",
		string(levels.OverMax):         "over-max",
		string(levels.NoTarget):        "no-target",
		string(levels.IllegalTarget):   "illegal-target",
		string(levels.ForbiddenTarget): "forbidden-target",
		string(levels.UnknownTopic):    "unknown-topic",
		string(levels.BadPartition):    "bad-partition",
		string(levels.NotAuthorized):   "not-authorized",
		string(levels.TooLarge):        "too-large",
		string(levels.Rejected):        "rejected",
		string(levels.GaveUp):          "gave-up",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
