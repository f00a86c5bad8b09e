package bench

import (
	"errors"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/delayd-io/delayd/internal/harness/picture"
)

const (
	// barHeight is what a bar takes of the height, and barsAround what stands
	// above and below all of them.
	barHeight  = 0.55 * vg.Inch
	barsAround = 1.6 * vg.Inch
	// circleRadius is that of a round on a bar.
	circleRadius = 2.5
)

// rates is a bar for each contender.
func (r *Report) rates() (*picture.Picture, error) {
	p := &picture.Picture{Title: "Release of an overdue backlog, in records a second", Body: picture.NewPlot()}
	var names []string
	var values plotter.XYLabels
	greatest := 0.0
	for _, s := range slices.Backward(r.Summary) { // the last is at the bottom
		rate := s.Medians[FigureRate]
		if rate <= 0 {
			continue
		}
		y := float64(len(names))
		end, err := r.addBar(p.Body, s, y)
		if err != nil {
			return nil, err
		}
		names = append(names, s.name())
		values.XYs = append(values.XYs, plotter.XY{X: end, Y: y})
		values.Labels = append(values.Labels, grouped(int64(math.Round(rate))))
		greatest = max(greatest, end)
	}
	if len(names) == 0 {
		return nil, errors.New("no record arrived whose rate could be drawn")
	}
	labels, err := plotter.NewLabels(values)
	if err != nil {
		return nil, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i] = picture.TextStyle(picture.TextSize, picture.Black)
		labels.TextStyle[i].YAlign = draw.YCenter
	}
	labels.Offset = vg.Point{X: 8, Y: picture.TextRise}
	p.Body.Add(labels)
	p.Body.NominalY(names...)
	p.Body.Y.Tick.Length = 0
	p.Body.Y.Min, p.Body.Y.Max = -0.5, float64(len(names))-0.5
	p.Body.X.Min, p.Body.X.Max = 0, greatest*1.12 // room for the number behind the longest
	p.Body.HideX()
	p.Height = barsAround + vg.Length(len(names))*barHeight
	return p, nil
}

// addBar adds the median rate of a contender as a bar, and a circle for each of
// its rounds where there are several. It returns where the furthest of them ends.
func (r *Report) addBar(body *plot.Plot, s Summary, y float64) (end float64, err error) {
	end = s.Medians[FigureRate]
	bar, err := plotter.NewBarChart(plotter.Values{end}, barHeight*0.6)
	if err != nil {
		return 0, err
	}
	bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, y, contenderColors[s.Contender], 0
	body.Add(bar)
	if s.Rounds < 2 {
		return end, nil
	}
	var rounds plotter.XYs
	for _, run := range r.Runs {
		if run.partOf(s) && run.Rate > 0 {
			rounds = append(rounds, plotter.XY{X: run.Rate, Y: y})
			end = max(end, run.Rate)
		}
	}
	circles, err := plotter.NewScatter(rounds)
	if err != nil {
		return 0, err
	}
	rings := *circles
	circles.GlyphStyle = draw.GlyphStyle{Color: color.White, Radius: circleRadius, Shape: draw.CircleGlyph{}}
	rings.GlyphStyle = draw.GlyphStyle{Color: picture.Black, Radius: circleRadius, Shape: draw.RingGlyph{}}
	body.Add(circles, &rings)
	return end, nil
}
