package main

import (
	"fmt"
	"image/color"
	"os"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/delayd-io/delayd/internal/harness/picture"
)

const (
	timelineHeight = 4 * vg.Inch
	// leastMs stands for no lateness at all, because a log scale has no zero.
	leastMs = 1
)

// The colours are from the palette of Okabe and Ito; a fault is a faint one.
var (
	lateColor  = color.NRGBA{0x00, 0x72, 0xb2, 0xff}
	faultColor = color.NRGBA{0xd5, 0x5e, 0x00, 0x38}
)

// checkTimeline reports what would keep a timeline from being drawn.
func checkTimeline(file string) error { return picture.CheckFile(file) }

// drawTimeline draws how late the latest record of each slot was, over the time
// at which it arrived, with the faults shaded.
func drawTimeline(file string, r *result) error {
	b, err := timeline(r).Encode(picture.Format(file), timelineCaption(r))
	if err != nil {
		return fmt.Errorf("timeline %s: %w", file, err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return fmt.Errorf("timeline: %w", err)
	}
	return nil
}

func timeline(r *result) *picture.Picture {
	points := make(plotter.XYs, 0, len(r.worst))
	greatest := float64(leastMs)
	for i, late := range r.worst {
		if late == absent {
			continue
		}
		y := max(late.Seconds()*1000, leastMs)
		greatest = max(greatest, y)
		points = append(points, plotter.XY{X: (time.Duration(i) * slot).Seconds(), Y: y})
	}
	body := picture.NewPlot()
	axis := picture.NewMsAxis(leastMs, max(greatest, 10*leastMs))
	body.Y.Scale, body.Y.Tick.Marker = plot.LogScale{}, plot.ConstantTicks(axis.Ticks)
	body.X.Label.Text, body.Y.Label.Text = "seconds since the load began, when a record arrived", "ms late"
	body.Add(picture.NewGrid(), shades{r.Faults})
	if dots, err := plotter.NewScatter(points); err == nil {
		dots.GlyphStyle = draw.GlyphStyle{Color: lateColor, Radius: 1.6, Shape: draw.CircleGlyph{}}
		body.Add(dots)
	}
	body.X.Min, body.X.Max = 0, (time.Duration(len(r.worst)) * slot).Seconds()
	body.Y.Min, body.Y.Max = axis.Min, axis.Max
	return &picture.Picture{
		Title: fmt.Sprintf("Lateness over time: %s, %s", r.Row, r.Delivery), Height: timelineHeight, Body: body,
		Legend: []picture.Entry{
			{Name: "latest record of each 50 ms", Style: draw.LineStyle{Color: lateColor, Width: 4}},
			{Name: "fault", Style: draw.LineStyle{Color: faultColor, Width: 12}},
		},
	}
}

func timelineCaption(r *result) []string {
	return []string{
		fmt.Sprintf("%s: %s.", r.Row, r.About),
		fmt.Sprintf("%d records sent; %d lost, %d twice, %d early, %d reordered within their key, %d altered; worst %d ms late.",
			r.Sent, r.Lost, r.Twice, r.Early, r.Reordered, r.Altered, r.Worst.Milliseconds()),
		r.Command,
	}
}

// shades are the times of faults, from the bottom of a plot to its top.
type shades struct{ faults []fault }

func (s shades) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	for _, f := range s.faults {
		from, to := max(x(f.From.Seconds()), c.Min.X), min(x(f.To.Seconds()), c.Max.X)
		if to < from+1 {
			to = from + 1 // a fault that is over at once is seen too
		}
		c.FillPolygon(faultColor, []vg.Point{{X: from, Y: c.Min.Y}, {X: to, Y: c.Min.Y}, {X: to, Y: c.Max.Y}, {X: from, Y: c.Max.Y}})
	}
}
