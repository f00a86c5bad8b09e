// Package picture draws plots in one style, with what they mean written around
// them: a title, a legend, and a caption without which figures say nothing.
package picture

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
	// width makes the text readable where a page shows the picture at its
	// own width of about 900 pixels.
	width = 9 * vg.Inch
	// dpi keeps a PNG sharp on screens of twice the usual density.
	dpi = 192

	titleSize   = 15
	captionSize = 9
	margin      = 14
	// TextSize is the size of all other text.
	TextSize = 11
	// lineSpacing is from one line of text to the next, in sizes of its font.
	lineSpacing = 1.35
	// TextRise is how much higher a line of text is put that stands in the
	// middle of something: only what is above its base line catches the eye.
	TextRise = 1.5
)

// The colours of what is not data, and of text.
var (
	Black = color.NRGBA{0x1a, 0x1a, 0x1a, 0xff}
	grey  = color.NRGBA{0x66, 0x66, 0x66, 0xff}
	Faint = color.NRGBA{0xe2, 0xe2, 0xe2, 0xff}
)

// Picture is what a plot shows, and what is written around it.
type Picture struct {
	Title  string
	Legend []Entry
	Body   *plot.Plot
	Height vg.Length
}

// Entry is a line of a legend.
type Entry struct {
	Name  string
	Style draw.LineStyle
}

// Encode draws the picture in a format, which is a file's ending.
func (p *Picture) Encode(format string, caption []string) ([]byte, error) {
	var canvas interface {
		vg.CanvasSizer
		io.WriterTo
	}
	if format == ".svg" {
		canvas = vgsvg.New(width, p.Height)
	} else {
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, p.Height), vgimg.UseDPI(dpi))}
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
func (p *Picture) draw(c draw.Canvas, caption []string) {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	c = draw.Crop(c, margin, -margin, margin, -margin)

	title := TextStyle(titleSize, Black)
	title.YAlign = draw.YTop
	c.FillText(title, vg.Point{X: c.Min.X, Y: c.Max.Y}, p.Title)
	c = draw.Crop(c, 0, 0, 0, -titleSize*lineSpacing-4)

	c = draw.Crop(c, 0, 0, 0, -p.drawLegend(c))

	small := TextStyle(captionSize, grey)
	small.YAlign = draw.YBottom
	fits := func(line string) bool { return small.Width(line) <= c.Max.X-c.Min.X }
	var lines []string
	for _, sentence := range caption {
		lines = append(lines, Wrap(sentence, fits)...)
	}
	y := c.Min.Y
	for _, line := range slices.Backward(lines) {
		c.FillText(small, vg.Point{X: c.Min.X, Y: y}, line)
		y += captionSize * lineSpacing
	}
	p.Body.Draw(draw.Crop(c, 0, 0, y-c.Min.Y+8, -4))
}

// drawLegend writes the entries side by side from the top, and returns the
// height that they took.
func (p *Picture) drawLegend(c draw.Canvas) vg.Length {
	if len(p.Legend) == 0 {
		return 0
	}
	const sample, gap, next = 26, 6, 22
	style := TextStyle(TextSize, Black)
	style.YAlign = draw.YCenter
	x, y := c.Min.X, c.Max.Y-TextSize
	for _, e := range p.Legend {
		width := sample + gap + style.Width(e.Name)
		if x > c.Min.X && x+width > c.Max.X {
			x, y = c.Min.X, y-TextSize*1.6
		}
		c.StrokeLine2(e.Style, x, y, x+sample, y)
		c.FillText(style, vg.Point{X: x + sample + gap, Y: y + TextRise}, e.Name)
		x += width + next
	}
	return c.Max.Y - y + TextSize
}

// Wrap breaks a sentence between words into lines that fit.
func Wrap(sentence string, fits func(line string) bool) []string {
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

// TextStyle is that of text in a size and a colour.
func TextStyle(size vg.Length, c color.Color) text.Style {
	return text.Style{
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: size},
		Color:   c,
		Handler: plot.DefaultTextHandler,
	}
}

// NewPlot is an empty plot in the style of all: nothing but data is dark.
func NewPlot() *plot.Plot {
	p := plot.New()
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.LineStyle.Color, axis.Tick.LineStyle.Color = Faint, Faint
		axis.Padding, axis.Tick.Length = 0, 4
		restyle(&axis.Tick.Label, TextSize, Black)
		restyle(&axis.Label.TextStyle, TextSize, grey)
		axis.Label.Padding = 6
	}
	return p
}

// restyle sets font and colour, and leaves the alignment.
func restyle(s *text.Style, size vg.Length, c color.Color) {
	style := TextStyle(size, c)
	s.Font, s.Color = style.Font, style.Color
}
