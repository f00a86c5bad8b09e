package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressEvery is how often a progress bar is drawn at most: often enough to
// move, and seldom enough to cost nothing.
const progressEvery = 100 * time.Millisecond

// progress draws one bar after the other for the person at the terminal, and
// leaves nothing behind.
type progress struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

// Start begins a bar.
func (p *progress) Start(what string, total int64) {
	p.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(p.out),
		progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(progressEvery),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
	)
}

// Add moves the bar on. An error would say that it cannot be drawn, which is no
// reason to end what it is about.
func (p *progress) Add(n int64) { _ = p.bar.Add64(n) }

// Done takes the bar away, wherever it has got to.
func (p *progress) Done() {
	_ = p.bar.Clear()
	_ = p.bar.Exit()
}
