package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/delayd-io/delayd/levels"
)

func TestTextOfASteadyLoad(t *testing.T) {
	t.Parallel()
	late := func(p50 float64) *Late {
		return &Late{P50: p50, P90: 2 * p50, P99: 3 * p50, P999: 10 * p50, Max: 1000 * p50}
	}
	r := madeUp(Steady,
		Result{Contender: Delayd, Round: 1, Sent: 40_000, Rate: 2001.4, Late: late(2), CPUPerMillion: 14.25, IdleMiB: 21.04, PeakMiB: 30},
		Result{Contender: Loop, Round: 1, Sent: 40_000, Rate: 2000, Late: late(1.6), CPUPerMillion: 9, IdleMiB: 12, PeakMiB: 16},
		Result{Contender: Loop, Round: 2, Sent: 40_000, Lost: 1, Rate: 2000, Late: late(2), CPUPerMillion: 9.5, IdleMiB: 12, PeakMiB: 18},
		Result{Contender: Delayd, Round: 2, Sent: 40_000, Duplicated: 1234, Rate: 2000, Late: late(1.8), CPUPerMillion: 15, IdleMiB: 22, PeakMiB: 31},
	)
	r.Clock = strings.Repeat("Lateness is one clock minus another. ", 4)
	r.Notes = []string{"A note."}
	want := `machine  2 cores of a processor, 7.8 GiB of memory, debian 13, linux 6.12, amd64, go1.26.8
cluster  1 broker of Kafka v4.1, on this machine
load     2,000 records a second for 20s, values of 200 bytes, 500 keys, level 5s, straight to the level, 4 partitions
clock    Lateness is one clock minus another. Lateness is one clock minus another. Lateness is one clock minus another.
         Lateness is one clock minus another.
version  devel (go1.26.8)
started  2026-11-24 12:00:00 UTC
note     A note.

All rounds: the records of all together, and the medians of the figures

CONTENDER  ROUNDS    SENT  LOST  TWICE  EARLY  DISORDERED   P50   P90   P99  P99.9    MAX   RATE   CPU  MEM IDLE  MEM PEAK
delayd          2  80,000     0  1,234      0           0  1.90  3.80  5.70   19.0  1,900  2,001  14.6      21.5      30.5
loop            2  80,000     1      0      0           0  1.80  3.60  5.40   18.0  1,800  2,000  9.25      12.0      17.0

p50 to max: lateness in milliseconds, by percentile
rate: deliveries a second, from the first to the last
cpu: seconds of processor time for a million records
mem: resident memory in MiB

Ratios: the median of those of each round, and the least and the greatest of them

OF      TO    FIGURE    MEDIAN  LEAST  GREATEST  ROUNDS
delayd  loop  p50         1.07   0.90      1.25       2
delayd  loop  p90         1.07   0.90      1.25       2
delayd  loop  p99         1.07   0.90      1.25       2
delayd  loop  p99.9       1.07   0.90      1.25       2
delayd  loop  max         1.07   0.90      1.25       2
delayd  loop  cpu         1.58   1.58      1.58       2
delayd  loop  mem idle    1.79   1.75      1.83       2
delayd  loop  mem peak    1.80   1.72      1.88       2

Every run, in the order they were made

CONTENDER  ROUND    SENT  LOST  TWICE  EARLY  DISORDERED   P50   P90   P99  P99.9    MAX   RATE   CPU  MEM IDLE  MEM PEAK
delayd         1  40,000     0      0      0           0  2.00  4.00  6.00   20.0  2,000  2,001  14.2      21.0      30.0
loop           1  40,000     0      0      0           0  1.60  3.20  4.80   16.0  1,600  2,000  9.00      12.0      16.0
loop           2  40,000     1      0      0           0  2.00  4.00  6.00   20.0  2,000  2,000  9.50      12.0      18.0
delayd         2  40,000     0  1,234      0           0  1.80  3.60  5.40   18.0  1,800  2,000  15.0      22.0      31.0
`
	checkText(t, r, want)
}

// What was cancelled has columns of its own.
func TestTextOfCancels(t *testing.T) {
	t.Parallel()
	r := madeUp(Steady,
		Result{Contender: Delayd, Label: LabelAlone, Round: 1, Sent: 22_000, CPUPerMillion: 100},
		Result{Contender: Delayd, Label: LabelCancel, Round: 1, Sent: 22_000, Cancelled: 4400, CancelledDelivered: 1, CPUPerMillion: 120},
	)
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(b.String(), "One round\n\n")
	want := `CONTENDER             ROUNDS    SENT  LOST  TWICE  EARLY  DISORDERED  CANCELLED  DELIVERED STILL  CPU
delayd, alone              1  22,000     0      0      0           0          0                0  100
delayd, with cancels       1  22,000     0      0      0           0      4,400                1  120

cpu: seconds of processor time for a million records

Ratios: the median of those of each round, and the least and the greatest of them

OF                    TO             FIGURE  MEDIAN  LEAST  GREATEST  ROUNDS
delayd, with cancels  delayd, alone  cpu       1.20   1.20      1.20       1
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What was not measured is no zero.
func TestTextOfABacklog(t *testing.T) {
	t.Parallel()
	r := madeUp(Backlog,
		Result{Contender: Delayd, Label: LabelKilled, Round: 1, Sent: 2_000_000, Duplicated: 8000, Kills: 1, Rate: 401_234.5, FirstSeconds: 3.456, CPUPerMillion: 3.2, PeakMiB: 140},
		Result{Contender: Copy, Round: 1, Sent: 2_000_000, Rate: 390_000, CPUPerMillion: 2.9, PeakMiB: 120},
		Result{Contender: Naive, Round: 1, Sent: 20_000, Rate: 1999},
	)
	r.Load.Through = ThroughInbox
	r.Load.Levels = append(r.Load.Levels, levels.Level{Delay: 10 * time.Second})
	r.Cluster = Cluster{Brokers: 3, Version: "v4.1"}
	checkText(t, r, `machine  2 cores of a processor, 7.8 GiB of memory, debian 13, linux 6.12, amd64, go1.26.8
cluster  3 brokers of Kafka v4.1
load     2,000,000 records, all overdue, values of 200 bytes, 500 keys, in turns on the levels 5s 10s, through the
         inbox, 4 partitions
clock    Lateness is one clock minus another.
version  devel (go1.26.8)
started  2026-11-24 12:00:00 UTC

One round

CONTENDER                  ROUNDS       SENT  LOST  TWICE  EARLY  DISORDERED     RATE  FIRST   CPU  MEM PEAK
delayd, killed on the way       1  2,000,000     0  8,000      0           0  401,235   3.46  3.20       140
copy                            1  2,000,000     0      0      0           0  390,000      -  2.90       120
naive                           1     20,000     0      0      0           0    1,999      -     -         -

rate: deliveries a second, from the first to the last
first: seconds from the start of the process to its first delivery
cpu: seconds of processor time for a million records

Ratios: the median of those of each round, and the least and the greatest of them

OF                         TO     FIGURE    MEDIAN  LEAST  GREATEST  ROUNDS
delayd, killed on the way  copy   rate        1.03   1.03      1.03       1
delayd, killed on the way  copy   cpu         1.10   1.10      1.10       1
delayd, killed on the way  copy   mem peak    1.17   1.17      1.17       1
delayd, killed on the way  naive  rate         201    201       201       1
`)
}

func TestTextOfPending(t *testing.T) {
	t.Parallel()
	r := madeUp(Pending, Result{
		Contender: Delayd, Round: 1, Sent: 1_000_000, IdleMiB: 25, PendingMiB: 41.5, PeakMiB: 60, PendingCPUPercent: 0.3,
	})
	r.Cluster.Embedded = true
	checkText(t, r, `machine  2 cores of a processor, 7.8 GiB of memory, debian 13, linux 6.12, amd64, go1.26.8
cluster  The embedded broker, which is no Apache Kafka
load     2,000,000 records that wait, values of 200 bytes, 500 keys, level 5s, straight to the level, 4 partitions
clock    Lateness is one clock minus another.
version  devel (go1.26.8)
started  2026-11-24 12:00:00 UTC

One round

CONTENDER  ROUNDS       SENT  LOST  TWICE  EARLY  DISORDERED  MEM IDLE  MEM PENDING  MEM PEAK  CPU IDLE  CPU PENDING
delayd          1  1,000,000     0      0      0           0      25.0         41.5      60.0      0.00         0.30

mem: resident memory in MiB
cpu idle, cpu pending: percent of one core, with nothing to do
`)
}

// A run that was ended early says what it was for.
func TestTextOfNothing(t *testing.T) {
	t.Parallel()
	checkText(t, madeUp(Steady), `machine  2 cores of a processor, 7.8 GiB of memory, debian 13, linux 6.12, amd64, go1.26.8
cluster  1 broker of Kafka v4.1, on this machine
load     2,000 records a second for 20s, values of 200 bytes, 500 keys, level 5s, straight to the level, 4 partitions
clock    Lateness is one clock minus another.
version  devel (go1.26.8)
started  2026-11-24 12:00:00 UTC
`)
}

func checkText(t *testing.T, r *Report, want string) {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for line := range strings.Lines(b.String()) {
		if strings.HasSuffix(line, " \n") {
			t.Errorf("a space at the end of %q", line)
		}
	}
}
