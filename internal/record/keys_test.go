package record

import "testing"

// Instances of two versions read each other's records: the private keys are spelled out
// here once more, so that none changes by accident.
func TestKeys(t *testing.T) {
	for got, want := range map[string]string{
		KeyDue:       "delay-hop-due",
		KeyAccepted:  "delay-hop-accepted",
		KeyGranted:   "delay-hop-granted",
		KeyID:        "delay-hop-id",
		KeyKey:       "delay-hop-key",
		KeyOrigin:    "delay-hop-origin",
		KeyTarget:    "delay-hop-target",
		KeyPartition: "delay-hop-partition",
		KeyClock:     "delay-hop-clock",
		KeyAttempt:   "delay-hop-attempt",
		KeyFirstDue:  "delay-hop-first-due",
		KeySince:     "delay-hop-since",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
