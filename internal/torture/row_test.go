package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFindRows(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, r := range rows() {
		if seen[r.name] {
			t.Errorf("row %q is there twice", r.name)
		}
		seen[r.name] = true
		if r.about == "" || r.run == nil || len(r.deliveries) == 0 {
			t.Errorf("row %q says too little", r.name)
		}
	}
	found, err := findRows([]string{"kill-*"})
	if err != nil || !slices.ContainsFunc(found, func(r row) bool { return r.name == "kill-loop" }) {
		t.Errorf("kill-*: %d rows, %v", len(found), err)
	}
	byDefault, err := findRows(nil)
	if err != nil || slices.ContainsFunc(byDefault, func(r row) bool { return r.named }) {
		t.Errorf("without a pattern: a row that has to be asked for, or %v", err)
	}
	if named, err := findRows([]string{"upgrade"}); err != nil || len(named) != 1 || len(byDefault) >= len(rows()) {
		t.Errorf("upgrade: %d rows, %v; %d of %d by default", len(named), err, len(byDefault), len(rows()))
	}
	if _, err := findRows([]string{"none", "nothing"}); err == nil || !strings.Contains(err.Error(), `"nothing"`) {
		t.Errorf("a row that is not there: %v", err)
	}
}

// What a row allows is no violation, and one more is.
func TestViolations(t *testing.T) {
	t.Parallel()
	r := row{limits: limits{twice: 5, worst: time.Second, recover: time.Second, last: time.Minute}}
	tight := limits{uncommitted: time.Second}
	if a, b, c := r.limits.perCrash(2000), tight.perCrash(2000), tight.perCrash(100_000); a != twicePerCrash || b != 2000 || c != twicePerCrash {
		t.Errorf("one crash may deliver %d, %d and %d twice", a, b, c)
	}
	for name, tc := range map[string]struct {
		res  result
		want string
	}{
		"all well":             {result{Delivery: atLeastOnce, verdict: verdict{Sent: 1, Twice: 5}, Worst: time.Second, Recovered: time.Second}, ""},
		"nothing sent":         {result{Delivery: atLeastOnce}, "nothing was sent"},
		"lost":                 {result{Delivery: atLeastOnce, verdict: verdict{Sent: 1, Lost: 1}}, "1 lost"},
		"still parked":         {result{Delivery: atLeastOnce, verdict: verdict{Sent: 1, Parked: 2}}, "2 still parked"},
		"still pending":        {result{Delivery: atLeastOnce, verdict: verdict{Sent: 1, Pending: 3}}, "3 still pending"},
		"on time in a minute":  {result{Delivery: atLeastOnce, verdict: verdict{Sent: 1}, RecoveredLast: time.Minute}, ""},
		"late after a minute":  {result{Delivery: atLeastOnce, verdict: verdict{Sent: 1}, RecoveredLast: 61 * time.Second}, "recovered only 1m1s after the last fault"},
		"twice":                {result{Delivery: atLeastOnce, verdict: verdict{Sent: 1, Twice: 6}}, "6 delivered twice, at most 5 allowed after 0 crashes"},
		"twice after a crash":  {result{Delivery: atLeastOnce, Crashes: 1, verdict: verdict{Sent: 1, Twice: 5 + twicePerCrash}}, ""},
		"once more, rewound":   {result{Delivery: exactlyOnce, Rewound: 7, verdict: verdict{Sent: 1, Twice: 7}}, ""},
		"more than rewound":    {result{Delivery: exactlyOnce, Rewound: 7, verdict: verdict{Sent: 1, Twice: 8}}, "8 delivered twice, at most 7"},
		"twice, though once":   {result{Delivery: exactlyOnce, Crashes: 1, verdict: verdict{Sent: 1, Twice: 1}}, "1 delivered twice, at most 0 allowed after 1 crashes"},
		"late":                 {result{Delivery: atLeastOnce, verdict: verdict{Sent: 1}, Worst: time.Second + 1}, "late at worst"},
		"late after the fault": {result{Delivery: atLeastOnce, verdict: verdict{Sent: 1}, Recovered: time.Second + 1}, "still more than 250ms late"},
	} {
		got := strings.Join(r.violations(&tc.res), "; ")
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	r.limits.warmUp = 10 * slot
	for slots, late := range map[int]bool{5: false, 9: false, 10: true, 11: true} {
		res := result{Delivery: atLeastOnce, verdict: verdict{Sent: 1}, Worst: 2 * time.Second, worst: make([]time.Duration, slots+1)}
		res.worst[slots] = res.Worst
		if got := r.violations(&res); late != (len(got) > 0) {
			t.Errorf("late %v after the start, of which %v is warming up: %q", slot*time.Duration(slots), r.limits.warmUp, got)
		}
	}
}
