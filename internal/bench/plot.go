package bench

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/text/number"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	// plotHeight is that of a percentile plot.
	plotHeight = 5 * vg.Inch
	// nines is where the percentiles end: 99.99 %, which has four of them.
	nines = 4
	// pointsPerNine is how many points there are between 90 % and 99 %, and
	// within each further nine: enough for a smooth line.
	pointsPerNine = 25
	// leastMs stands for no lateness at all, because a log scale has no zero.
	leastMs = 0.01
)

// The colours are from the palette of Okabe and Ito, which people who see fewer
// colours can tell apart.
var (
	contenderColors = map[Kind]color.NRGBA{
		Delayd: {0x00, 0x72, 0xb2, 0xff}, // blue
		Lane:   {0xe6, 0x9f, 0x00, 0xff}, // orange
		Copy:   {0x00, 0x9e, 0x73, 0xff}, // green
		Naive:  {0xcc, 0x79, 0xa7, 0xff}, // pink
	}
	// labelDashes tell the labels of one contender apart, in their order.
	labelDashes = [][]vg.Length{nil, {7, 4}, {2, 3}, {9, 3, 2, 3}}
)

// CheckPlotFile reports what would keep [Report.Plot] from writing a file, as far
// as that is known before there is anything to write.
func CheckPlotFile(file string) error {
	switch plotFormat(file) {
	case ".svg", ".png":
	default:
		return fmt.Errorf("%q: only SVG and PNG are drawn; end the name with .svg or .png", file)
	}
	info, err := os.Stat(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("%q: %w; make that directory, or name another", file, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%q: %s is no directory; name one", file, filepath.Dir(file))
	}
	return nil
}

func plotFormat(file string) string { return strings.ToLower(filepath.Ext(file)) }

// Plot draws the report and writes it to a file, as SVG or PNG by its ending:
// how late the records of a steady load were, or how fast a backlog was
// released.
func (r *Report) Plot(file string) error {
	if err := CheckPlotFile(file); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	picture, err := r.draw(plotFormat(file))
	if err != nil {
		return fmt.Errorf("plot %s: %w", file, err)
	}
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return nil
}

// draw returns the contents of a file.
func (r *Report) draw(format string) ([]byte, error) {
	var p *picture
	var err error
	if r.Load.Scenario == Backlog {
		p, err = r.rates()
	} else {
		p, err = r.lateness()
	}
	if err != nil {
		return nil, err
	}
	return p.encode(format, r.caption())
}

// caption is what the figures depend on: never one without.
func (r *Report) caption() []string {
	sentences := []string{r.Load.sentence() + ".", r.Machine.sentence() + ".", r.Cluster.sentence() + "."}
	rounds := 0
	for _, s := range r.Summary {
		rounds = max(rounds, s.Rounds)
	}
	switch {
	case rounds < 2:
	case r.Load.Scenario == Backlog:
		sentences = append(sentences, fmt.Sprintf("The bars are the medians of %d rounds, and each circle is a round.", rounds))
	default:
		sentences = append(sentences, fmt.Sprintf("The lines are of the records of %d rounds together.", rounds))
	}
	return append(sentences, r.Notes...)
}

// lateness is a line of percentiles for each contender.
func (r *Report) lateness() (*picture, error) {
	p := &picture{title: "Lateness of the records, by percentile", body: newPlot(), height: plotHeight}
	least, greatest := math.Inf(1), 0.0
	labels := make(map[Kind]int)
	var lines []plot.Plotter
	for _, s := range r.Summary {
		if s.Late == nil {
			continue
		}
		points := curve(s.Late.Histogram)
		least, greatest = min(least, points[0].Y), max(greatest, points[len(points)-1].Y)
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		line.LineStyle = draw.LineStyle{
			Color: contenderColors[s.Contender], Width: 2.2,
			Dashes: labelDashes[labels[s.Contender]%len(labelDashes)],
		}
		labels[s.Contender]++
		lines = append(lines, line)
		p.legend = append(p.legend, legendEntry{s.name(), line.LineStyle})
	}
	if len(lines) == 0 {
		return nil, errors.New("no record arrived whose lateness could be drawn")
	}
	slices.Reverse(lines) // the service is the first, and on top
	late := newMsAxis(least, greatest)
	p.body.X.Tick.Marker, p.body.Y.Tick.Marker = plot.ConstantTicks(nineTicks()), plot.ConstantTicks(late.ticks)
	p.body.Y.Scale = plot.LogScale{}
	p.body.X.Label.Text = "% of the records that were no later than that"
	p.body.Y.Label.Text = "ms late"
	p.body.Add(newGrid())
	p.body.Add(lines...)
	p.body.X.Min, p.body.X.Max = 0, nines // not where the lines end
	p.body.Y.Min, p.body.Y.Max = late.min, late.max
	return p, nil
}

// curve is the percentiles of a histogram, evenly spaced on a scale of nines. It
// ends where no record would be left beyond: from there on there is only the
// latest one.
func curve(h *hdrhistogram.Histogram) plotter.XYs {
	var points plotter.XYs
	for i := range nines*pointsPerNine + 1 {
		x := float64(i) / pointsPerNine
		beyond := math.Pow(10, -x) // of all records; not exact
		if i > 0 && beyond*float64(h.TotalCount()) < 0.999 {
			break
		}
		late := ms(h.ValueAtPercentile(100 * (1 - beyond)))
		points = append(points, plotter.XY{X: x, Y: max(late, leastMs)})
	}
	return points
}

func newGrid() *plotter.Grid {
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	return grid
}

// nineScale gives each nine of a percentage the same room.
func nineScale(percent float64) float64 { return -math.Log10(1 - percent/100) }

func nineTicks() []plot.Tick {
	var ticks []plot.Tick
	for _, percent := range []float64{0, 50, 90, 99, 99.9, 99.99} {
		ticks = append(ticks, plot.Tick{Value: nineScale(percent), Label: fmt.Sprint(percent)})
	}
	return ticks
}

// msAxis is a log scale from one tick to another, with everything in between.
type msAxis struct {
	min, max float64
	ticks    []plot.Tick
}

// newMsAxis has a tick at 1, 2 and 5 of each decade, or where that would be too
// many, at 1.
func newMsAxis(least, greatest float64) msAxis {
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
	a := msAxis{min: values[first], max: values[last]}
	for _, v := range values[first : last+1] {
		a.ticks = append(a.ticks, plot.Tick{Value: v, Label: english.Sprint(number.Decimal(v))})
	}
	return a
}
