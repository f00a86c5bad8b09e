package picture

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever the lines are, they begin and end within the axis.
func TestMsAxis(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ least, greatest, min, max float64 }{
		{1, 1, 1, 2},
		{0.7, 9, 0.5, 10},
		{0.01, 3_000_000, 0.01, 10_000_000},
		{2, 5, 2, 5},
	} {
		a := NewMsAxis(tc.least, tc.greatest)
		if !near(a.Min, tc.min) || !near(a.Max, tc.max) || len(a.Ticks) < 2 {
			t.Errorf("axis of %v to %v ms: %v to %v with %d ticks; want %v to %v", tc.least, tc.greatest, a.Min, a.Max, len(a.Ticks), tc.min, tc.max)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a/b-1) < 1e-9 }

func TestCheckFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for file, want := range map[string]string{
		filepath.Join(dir, "x.svg"):         "",
		filepath.Join(dir, "x.PNG"):         "",
		"x.svg":                             "",
		"x.pdf":                             `"x.pdf": only SVG and PNG are drawn; end the name with .svg or .png`,
		"x":                                 `"x": only SVG and PNG are drawn; end the name with .svg or .png`,
		filepath.Join(dir, "none", "x.svg"): "make that directory, or name another",
	} {
		err := CheckFile(file)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
}
