package bench

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	// plotWidth makes the text readable where a page shows the picture at its
	// own width of about 900 pixels.
	plotWidth = 9 * vg.Inch
	// plotDPI keeps a PNG sharp on screens of twice the usual density.
	plotDPI = 192

	titleSize   = 15
	textSize    = 11
	captionSize = 9
	plotMargin  = 14
	// lineSpacing is from one line of text to the next, in sizes of its font.
	lineSpacing = 1.35
	// textRise is how much higher a line of text is put that stands in the
	// middle of something: only what is above its base line catches the eye.
	textRise = 1.5
)

var (
	black = color.NRGBA{0x1a, 0x1a, 0x1a, 0xff}
	grey  = color.NRGBA{0x66, 0x66, 0x66, 0xff}
	faint = color.NRGBA{0xe2, 0xe2, 0xe2, 0xff}
)

// picture is what a plot shows, and what is written around it.
type picture struct {
	title  string
	legend []legendEntry
	body   *plot.Plot
	height vg.Length
}

type legendEntry struct {
	name  string
	style draw.LineStyle
}

// encode draws the picture in a format, which is a file's ending.
func (p *picture) encode(format string, caption []string) ([]byte, error) {
	var canvas interface {
		vg.CanvasSizer
		io.WriterTo
	}
	if format == ".svg" {
		canvas = vgsvg.New(plotWidth, p.height)
	} else {
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(plotWidth, p.height), vgimg.UseDPI(plotDPI))}
	}
	p.draw(draw.New(canvas), caption)
	var file bytes.Buffer
	if _, err := canvas.WriteTo(&file); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	if format == ".svg" {
		// Who has no Liberation Sans has one of the others, and all are
		// equally wide.
		const family = "font-family:Liberation Sans"
		return bytes.ReplaceAll(file.Bytes(), []byte(family+";"), []byte(family+",Arial,Helvetica,sans-serif;")), nil
	}
	return file.Bytes(), nil
}

// draw puts the title and the legend above the plot, and the caption below.
func (p *picture) draw(c draw.Canvas, caption []string) {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	c = draw.Crop(c, plotMargin, -plotMargin, plotMargin, -plotMargin)

	title := textStyle(titleSize, black)
	title.YAlign = draw.YTop
	c.FillText(title, vg.Point{X: c.Min.X, Y: c.Max.Y}, p.title)
	c = draw.Crop(c, 0, 0, 0, -titleSize*lineSpacing-4)

	c = draw.Crop(c, 0, 0, 0, -p.drawLegend(c))

	small := textStyle(captionSize, grey)
	small.YAlign = draw.YBottom
	fits := func(line string) bool { return small.Width(line) <= c.Max.X-c.Min.X }
	var lines []string
	for _, sentence := range caption {
		lines = append(lines, wrap(sentence, fits)...)
	}
	y := c.Min.Y
	for _, line := range slices.Backward(lines) {
		c.FillText(small, vg.Point{X: c.Min.X, Y: y}, line)
		y += captionSize * lineSpacing
	}
	p.body.Draw(draw.Crop(c, 0, 0, y-c.Min.Y+8, -4))
}

// drawLegend writes the entries side by side from the top, and returns the
// height that they took.
func (p *picture) drawLegend(c draw.Canvas) vg.Length {
	if len(p.legend) == 0 {
		return 0
	}
	const sample, gap, next = 26, 6, 22
	style := textStyle(textSize, black)
	style.YAlign = draw.YCenter
	x, y := c.Min.X, c.Max.Y-textSize
	for _, e := range p.legend {
		width := sample + gap + style.Width(e.name)
		if x > c.Min.X && x+width > c.Max.X {
			x, y = c.Min.X, y-textSize*1.6
		}
		c.StrokeLine2(e.style, x, y, x+sample, y)
		c.FillText(style, vg.Point{X: x + sample + gap, Y: y + textRise}, e.name)
		x += width + next
	}
	return c.Max.Y - y + textSize
}

// wrap breaks a sentence between words into lines that fit.
func wrap(sentence string, fits func(line string) bool) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(sentence) {
		longer := strings.TrimSpace(line + " " + word)
		if line != "" && !fits(longer) {
			lines = append(lines, line)
			longer = word
		}
		line = longer
	}
	return append(lines, line)
}

func textStyle(size vg.Length, c color.Color) text.Style {
	return text.Style{
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: size},
		Color:   c,
		Handler: plot.DefaultTextHandler,
	}
}

// newPlot is an empty plot in the style of all: nothing but data is dark.
func newPlot() *plot.Plot {
	p := plot.New()
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.LineStyle.Color, axis.Tick.LineStyle.Color = faint, faint
		axis.Padding, axis.Tick.Length = 0, 4
		restyle(&axis.Tick.Label, textSize, black)
		restyle(&axis.Label.TextStyle, textSize, grey)
		axis.Label.Padding = 6
	}
	return p
}

// restyle sets font and colour, and leaves the alignment.
func restyle(s *text.Style, size vg.Length, c color.Color) {
	style := textStyle(size, c)
	s.Font, s.Color = style.Font, style.Color
}
