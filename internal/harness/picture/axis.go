package picture

import (
	"math"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// english writes numbers as the documentation does: 20,000.
var english = message.NewPrinter(language.English)

// NewGrid is a grid that does not catch the eye.
func NewGrid() *plotter.Grid {
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = Faint, Faint
	return grid
}

// MsAxis is a log scale from one tick to another, with everything in between.
type MsAxis struct {
	Min, Max float64
	Ticks    []plot.Tick
}

// NewMsAxis has a tick at 1, 2 and 5 of each decade, or where that would be too
// many, at 1.
func NewMsAxis(least, greatest float64) MsAxis {
	const manyDecades = 3.5
	steps := []float64{1, 2, 5}
	if math.Log10(greatest/least) > manyDecades {
		steps = []float64{1}
	}
	var values []float64
	for decade := math.Floor(math.Log10(least)); decade <= math.Ceil(math.Log10(greatest)); decade++ {
		for _, step := range steps {
			values = append(values, step*math.Pow(10, decade))
		}
	}
	// The ticks next to the data on either side, which differ.
	first, last := 0, len(values)-1
	for first+1 < last && values[first+1] <= least {
		first++
	}
	for last-1 > first && values[last-1] >= greatest {
		last--
	}
	a := MsAxis{Min: values[first], Max: values[last]}
	for _, v := range values[first : last+1] {
		a.Ticks = append(a.Ticks, plot.Tick{Value: v, Label: english.Sprint(number.Decimal(v))})
	}
	return a
}
