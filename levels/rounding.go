package levels

import "fmt"

// Rounding says which level a delay gets that lies between two of them.
type Rounding int

const (
	// Nearest takes the level that is closer, and of two that are equally close
	// the longer one. It is the default.
	Nearest Rounding = iota
	// Up takes the longer level: a record never arrives before it was asked for.
	Up
	// Down takes the shorter level.
	Down
	// Exact takes no level: a record that asks for a delay is delivered to the
	// millisecond, by way of several levels (see [Ladder.Walk]). [Ladder.Round], which
	// has to name one level, answers as with Nearest.
	Exact
)

// roundingNames are indexed by Rounding.
var roundingNames = [...]string{Nearest: "nearest", Up: "up", Down: "down", Exact: "exact"}

// ParseRounding reads "nearest", "up", "down" or "exact".
func ParseRounding(s string) (Rounding, error) {
	for r, name := range roundingNames {
		if s == name {
			return Rounding(r), nil
		}
	}
	return Nearest, fmt.Errorf("rounding %s: write nearest, up, down or exact", quote(s))
}

// String is the name that [ParseRounding] reads.
func (r Rounding) String() string {
	if !r.known() {
		return fmt.Sprintf("Rounding(%d)", int(r))
	}
	return roundingNames[r]
}

// MarshalText writes the name; a value that has none is an error.
func (r Rounding) MarshalText() ([]byte, error) {
	if !r.known() {
		return nil, fmt.Errorf("rounding %d: use Nearest, Up, Down or Exact", int(r))
	}
	return []byte(roundingNames[r]), nil
}

// UnmarshalText reads a name as [ParseRounding] does, and leaves the value as
// it was when there is an error.
func (r *Rounding) UnmarshalText(text []byte) error {
	parsed, err := ParseRounding(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

func (r Rounding) known() bool { return 0 <= r && int(r) < len(roundingNames) }
