package bench

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/delayd-io/delayd/internal/harness/picture"
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
		Loop:   {0xe6, 0x9f, 0x00, 0xff}, // orange
		Copy:   {0x00, 0x9e, 0x73, 0xff}, // green
		Naive:  {0xcc, 0x79, 0xa7, 0xff}, // pink
	}
	// labelDashes tell the labels of one contender apart, in their order.
	labelDashes = [][]vg.Length{nil, {7, 4}, {2, 3}, {9, 3, 2, 3}}
)

// Plot draws the report and writes it to a file, as SVG or PNG by its ending:
// how late the records of a steady load were, or how fast a backlog was
// released.
func (r *Report) Plot(file string) error {
	if err := picture.CheckFile(file); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	drawn, err := r.draw(picture.Format(file))
	if err != nil {
		return fmt.Errorf("plot %s: %w", file, err)
	}
	if err := os.WriteFile(file, drawn, 0o644); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return nil
}

// draw returns the contents of a file.
func (r *Report) draw(format string) ([]byte, error) {
	var p *picture.Picture
	var err error
	if r.Load.Scenario == Backlog {
		p, err = r.rates()
	} else {
		p, err = r.lateness()
	}
	if err != nil {
		return nil, err
	}
	return p.Encode(format, r.caption())
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
func (r *Report) lateness() (*picture.Picture, error) {
	p := &picture.Picture{Title: "Lateness of the records, by percentile", Body: picture.NewPlot(), Height: plotHeight}
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
		p.Legend = append(p.Legend, picture.Entry{Name: s.name(), Style: line.LineStyle})
	}
	if len(lines) == 0 {
		return nil, errors.New("no record arrived whose lateness could be drawn")
	}
	slices.Reverse(lines) // the service is the first, and on top
	late := picture.NewMsAxis(least, greatest)
	p.Body.X.Tick.Marker, p.Body.Y.Tick.Marker = plot.ConstantTicks(nineTicks()), plot.ConstantTicks(late.Ticks)
	p.Body.Y.Scale = plot.LogScale{}
	p.Body.X.Label.Text = "% of the records that were no later than that"
	p.Body.Y.Label.Text = "ms late"
	p.Body.Add(picture.NewGrid())
	p.Body.Add(lines...)
	p.Body.X.Min, p.Body.X.Max = 0, nines // not where the lines end
	p.Body.Y.Min, p.Body.Y.Max = late.Min, late.Max
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

// nineScale gives each nine of a percentage the same room.
func nineScale(percent float64) float64 { return -math.Log10(1 - percent/100) }

func nineTicks() []plot.Tick {
	var ticks []plot.Tick
	for _, percent := range []float64{0, 50, 90, 99, 99.9, 99.99} {
		ticks = append(ticks, plot.Tick{Value: nineScale(percent), Label: fmt.Sprint(percent)})
	}
	return ticks
}
