package levels_test

import (
	"slices"
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
	"pgregory.net/rapid"
)

// roundSlowly is [levels.Ladder.Round] as one would explain it: it looks at
// every level, and weighs distances instead of searching.
func roundSlowly(ladder levels.Ladder, d time.Duration, r levels.Rounding) (best levels.Level, over bool) {
	if d <= 0 {
		return levels.Level{}, false
	}
	for level := range ladder.All() {
		switch {
		case level.Number == 1:
			best = level
		case r == levels.Down && level.Delay <= d:
			best = level
		case r == levels.Up && best.Delay < d:
			best = level
		case r == levels.Nearest && (level.Delay-d).Abs() <= (best.Delay-d).Abs():
			best = level
		}
	}
	return best, d > ladder.Last().Delay
}

// atLeastSlowly is [levels.Ladder.AtLeast] by looking at every level.
func atLeastSlowly(ladder levels.Ladder, d time.Duration) (levels.Level, bool) {
	for level := range ladder.All() {
		if level.Delay >= d {
			return level, true
		}
	}
	return levels.Level{}, false
}

var roundings = []levels.Rounding{levels.Nearest, levels.Up, levels.Down}

// anyLadder draws ladders of all lengths, close levels and distant ones.
func anyLadder() *rapid.Generator[levels.Ladder] {
	seconds := rapid.OneOf(
		rapid.Int64Range(1, 100),
		rapid.Int64Range(1, 100_000),
		rapid.Int64Range(1, int64(levels.MaxDelay/time.Second)),
	)
	delays := rapid.SliceOfNDistinct(seconds, 1, levels.MaxLevels, rapid.ID)
	return rapid.Custom(func(t *rapid.T) levels.Ladder {
		spec := ""
		drawn := delays.Draw(t, "seconds")
		slices.Sort(drawn)
		for _, s := range drawn {
			spec += " " + levels.FormatDelay(time.Duration(s)*time.Second)
		}
		ladder, err := levels.Parse(spec)
		if err != nil {
			t.Fatalf("Parse(%q): %v", spec, err)
		}
		return ladder
	})
}

// anyDelay draws delays of any size and, because that is where mistakes are
// made, those at, between and beside the levels of a ladder.
func anyDelay(ladder levels.Ladder) *rapid.Generator[time.Duration] {
	all := slices.Collect(ladder.All())
	near := rapid.Custom(func(t *rapid.T) time.Duration {
		a := rapid.SampledFrom(all).Draw(t, "a").Delay
		b := rapid.SampledFrom(all).Draw(t, "b").Delay
		return a + (b-a)/2 + time.Duration(rapid.Int64Range(-2, 2).Draw(t, "off"))
	})
	anything := rapid.Map(rapid.Int64(), func(n int64) time.Duration { return time.Duration(n) })
	return rapid.OneOf(near, anything)
}

func TestRoundAgreesWithItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ladder := anyLadder().Draw(t, "ladder")
		d := anyDelay(ladder).Draw(t, "d")
		for _, r := range roundings {
			got, over := ladder.Round(d, r)
			want, wantOver := roundSlowly(ladder, d, r)
			if got != want || over != wantOver {
				t.Fatalf("ladder %s: Round(%d, %s) = %s, %t, want %s, %t", ladder, d, r, got, over, want, wantOver)
			}
		}
	})
}

func TestAtLeastAgreesWithItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ladder := anyLadder().Draw(t, "ladder")
		d := anyDelay(ladder).Draw(t, "d")
		got, ok := ladder.AtLeast(d)
		want, wantOK := atLeastSlowly(ladder, d)
		if got != want || ok != wantOK {
			t.Fatalf("ladder %s: AtLeast(%d) = %s, %t, want %s, %t", ladder, d, got, ok, want, wantOK)
		}
	})
}

// What rounding promises, said without saying how it is done.
func TestRoundKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ladder := anyLadder().Draw(t, "ladder")
		d := anyDelay(ladder).Draw(t, "d")
		longer := anyDelay(ladder).Filter(func(e time.Duration) bool { return e >= d }).Draw(t, "longer")

		up, over := ladder.Round(d, levels.Up)
		down, _ := ladder.Round(d, levels.Down)
		nearest, _ := ladder.Round(d, levels.Nearest)
		if !over && up.Delay < d {
			t.Errorf("Up(%d) = %s is early", d, up)
		}
		if d >= ladder.First().Delay && down.Delay > d {
			t.Errorf("Down(%d) = %s is late", d, down)
		}
		if nearest != up && nearest != down {
			t.Errorf("Nearest(%d) = %s is neither Up, %s, nor Down, %s", d, nearest, up, down)
		}
		if d > 0 && down.Number == 0 {
			t.Errorf("Down(%d) does not wait", d)
		}
		for _, r := range roundings {
			shorter, _ := ladder.Round(d, r)
			if level, _ := ladder.Round(longer, r); level.Delay < shorter.Delay {
				t.Errorf("%s: %d gets %s, and %d, which is longer, gets %s", r, d, shorter, longer, level)
			}
		}
	})
}
