package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/delayd-io/delayd/internal/printable"
)

// statusScreen shows the last report in one place of a terminal, and replaces it with
// the next.
type statusScreen struct {
	ctx  context.Context
	cmd  *statusCmd
	look lookFunc

	report        statusReport // the last one
	width, height int          // of the terminal; 0: not known
	failed        error        // why there is none that is newer
	overdue       error        // of --fail-on-overdue, which ends it
}

// looked is the outcome of a look.
type looked struct {
	report statusReport
	err    error
}

// again is the end of the pause between two looks.
type again struct{}

// onScreen watches until Ctrl-C, q, or the end of ctx. The last report stays on the
// terminal, as the ones of other commands do.
func (c *statusCmd) onScreen(ctx context.Context, con *console, look lookFunc) error {
	screen := &statusScreen{ctx: ctx, cmd: c, look: look}
	report, err := look(ctx)
	if err != nil {
		return err
	}
	screen.take(looked{report: report})
	if screen.overdue == nil {
		_, err := tea.NewProgram(screen, tea.WithContext(ctx), tea.WithInput(con.in), tea.WithOutput(con.out),
			tea.WithoutSignalHandler()).Run()
		if err != nil && ctx.Err() == nil && !errors.Is(err, tea.ErrInterrupted) {
			return fmt.Errorf("watch: %w; with -o json, or its output in a pipe, it needs no terminal", err)
		}
	}
	fmt.Fprintln(con.out, clockTime(screen.report.At))
	printStatus(con.out, screen.report, c.Output == "wide")
	return screen.overdue
}

// Init is part of tea.Model.
func (s *statusScreen) Init() tea.Cmd { return s.pause() }

// Update is part of tea.Model.
func (s *statusScreen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		switch msg.String() {
		case "ctrl+c", "q", "esc":
			return s, tea.Quit
		}
	case tea.WindowSizeMsg:
		s.width, s.height = msg.Width, msg.Height
	case again:
		return s, s.next
	case looked:
		if s.take(msg); s.overdue != nil {
			return s, tea.Quit
		}
		return s, s.pause()
	}
	return s, nil
}

// View is part of tea.Model.
func (s *statusScreen) View() tea.View {
	head := fmt.Sprintf("every %v, Ctrl-C ends it", s.cmd.Interval)
	if s.failed != nil {
		head = fmt.Sprintf("no news: %v; trying again", printable.Text(s.failed.Error()))
	}
	rows := 0
	if s.height > 0 {
		rows = max(1, s.height-1)
	}
	head = fit(clockTime(s.report.At)+"  "+head, s.width, 0)
	view := tea.NewView(head + "\n" + s.report.screen(s.cmd.Output == "wide", s.width, rows))
	view.AltScreen = true
	return view
}

func (s *statusScreen) pause() tea.Cmd {
	return tea.Tick(s.cmd.Interval, func(time.Time) tea.Msg { return again{} })
}

// next looks.
func (s *statusScreen) next() tea.Msg {
	report, err := s.look(s.ctx)
	return looked{report, err}
}

// take keeps what was seen, or why nothing was.
func (s *statusScreen) take(l looked) {
	if s.failed = l.err; l.err != nil {
		return
	}
	s.report, s.overdue = l.report, s.cmd.verdict(l.report)
}
