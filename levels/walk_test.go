package levels_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
	"pgregory.net/rapid"
)

// walksFile holds the cases and describes its own form.
const walksFile = "../testdata/walks.txt"

func TestWalkTable(t *testing.T) {
	f, err := os.Open(walksFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var ladder levels.Ladder
	var why string
	cases := 0
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "":
			why = ""
		case word == "#":
			why = rest
		case word == "ladder" && rest == "default":
			ladder = levels.Default()
		case word == "ladder":
			if ladder, err = levels.Parse(rest); err != nil {
				t.Fatalf("%s:%d: %v", walksFile, n, err)
			}
		default:
			asked, want, ok := strings.Cut(line, " -> ")
			d, err := levels.ParseDelay(asked)
			if !ok || err != nil || why == "" {
				t.Fatalf("%s:%d: %q: want a reason above, and DELAY -> WALK (%v)", walksFile, n, line, err)
			}
			if got := spell(ladder.Walk(d)); got != want {
				t.Errorf("%s:%d: %s\nladder %s\n%s -> %s, want %s", walksFile, n, why, ladder, asked, got, want)
			}
			cases++
			why = ""
		}
	}
	if err := lines.Err(); err != nil || cases == 0 {
		t.Fatalf("%s: %d cases, %v", walksFile, cases, err)
	}
}

// spell is a walk in the words of the table.
func spell(legs []levels.Leg) string {
	if len(legs) == 0 {
		return "none"
	}
	words := make([]string, len(legs))
	for i, leg := range legs {
		words[i] = leg.Level.String()
		if leg.Times > 1 {
			words[i] += fmt.Sprintf("*%d", leg.Times)
		}
	}
	return strings.Join(words, " ")
}

// stepSlowly is [levels.Ladder.Step] as the rule says it, level by level.
func stepSlowly(ladder levels.Ladder, rest time.Duration) levels.Level {
	best := ladder.First()
	for level := range ladder.All() {
		if level.Delay-ladder.First().Delay <= rest {
			best = level
		}
	}
	return best
}

// walkSlowly is [levels.Ladder.Walk] one step at a time.
func walkSlowly(ladder levels.Ladder, d time.Duration) (steps []levels.Level) {
	if d <= 0 {
		return nil
	}
	for {
		step := stepSlowly(ladder, d)
		steps = append(steps, step)
		if d -= step.Delay; d < ladder.First().Delay {
			return steps
		}
	}
}

func TestWalkAgreesWithItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ladder := anyLadder().Draw(t, "ladder")
		any := anyDelay(ladder).Draw(t, "d")
		if got, want := ladder.Step(any), stepSlowly(ladder, any); got != want {
			t.Fatalf("ladder %s: Step(%d) = %s, want %s", ladder, any, got, want)
		}
		d := min(any, 5000*ladder.Last().Delay) // the twin is slow
		var got []levels.Level
		for _, leg := range ladder.Walk(d) {
			got = append(got, slices.Repeat([]levels.Level{leg.Level}, leg.Times)...)
		}
		want := walkSlowly(ladder, d)
		if !slices.Equal(got, want) || ladder.Steps(d) != len(want) {
			t.Fatalf("ladder %s: Walk(%d) = %s, want %s", ladder, d, got, want)
		}
	})
}

// However late each step is, a walk ends, never early, and only the lateness of its last
// step shows.
func TestWalkKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ladder := anyLadder().Draw(t, "ladder")
		d := min(anyDelay(ladder).Draw(t, "d"), 500*ladder.Last().Delay)
		late := rapid.SliceOfN(rapid.Int64Range(0, int64(3*ladder.First().Delay)), 1, 50).Draw(t, "late")
		lateness := func(step int) time.Duration { return time.Duration(late[step%len(late)]) }
		walked := walk(ladder, d, lateness)
		last := lateness(walked.steps)
		if over := walked.at - d; d > 0 && (over < 0 || over > max(0, walked.began-d)+last) {
			t.Fatalf("ladder %s: %d is over at %d: %d late, and the last step was late by %d", ladder, d, walked.at, over, last)
		}
		if most := 1 + int(max(d, 0)/ladder.First().Delay); walked.steps > most {
			t.Fatalf("ladder %s: %d takes %d steps, more than %d", ladder, d, walked.steps, most)
		}
	})
}

// walked is the end of a simulated walk.
type walked struct {
	steps int
	began time.Duration // when the last step began
	at    time.Duration // when it ended
}

// walk simulates what router and forwarder do, from 0 on. late is how much later than it
// could each step's record is written (the router's is step 0), and the last delivered.
func walk(ladder levels.Ladder, due time.Duration, late func(step int) time.Duration) (w walked) {
	if due <= 0 {
		return w
	}
	w.at = late(0)
	for {
		w.steps++
		w.began = w.at
		level := ladder.Step(due - w.began)
		end := w.began + level.Delay
		if ladder.LastStep(due - end) {
			w.at = max(due, w.began) + late(w.steps)
			return w
		}
		w.at = end + late(w.steps)
		if w.at >= due {
			return w
		}
	}
}

// 100,000 random delays from 1 ms to 30 days over the presets: each is over at its time,
// never early, and late only by the last step.
func TestManyWalks(t *testing.T) {
	each := 100_000 / len(presets)
	const linger = 50 * time.Millisecond
	for _, preset := range presets {
		ladder, err := levels.Parse(preset.spec)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for range each {
			d := time.Duration(1+rng.Int64N(30*24*3600*1000)) * time.Millisecond
			w := walk(ladder, d, func(int) time.Duration { return time.Duration(rng.Int64N(int64(linger))) })
			if w.at < d || w.at-d > linger {
				t.Fatalf("%s: %v is over at %v", preset.name, d, w.at)
			}
		}
	}
}

func BenchmarkStep(b *testing.B) {
	ladder := levels.Default()
	b.ReportAllocs()
	for b.Loop() {
		ladder.Step(45 * time.Minute)
	}
}
