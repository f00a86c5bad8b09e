package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/internal/printable"
)

// console is what a command reads and writes: results go to out, logs and what
// is for people alone to err.
type console struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// note writes a line for the person at the terminal that is no result.
func (c *console) note(format string, args ...any) { printLine(c.err, format, args...) }

// printLine prints one line. What was put into it cannot add another, or reach the
// terminal as anything but text.
func printLine(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, printable.Text(fmt.Sprintf(format, args...)))
}

// isTerminal reports whether a stream ends at a person.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// printJSON writes v for programs: a list in one document, a stream one value a
// line.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// newTable is a table in the style of all commands: headings, columns, no lines.
// The columns named in numbers are aligned right. Cells are printed as text, whatever
// they hold.
func newTable(w io.Writer, heading table.Row, numbers ...int) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.AppendHeader(heading)
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.SetColumnConfigs(columns(heading, numbers))
	return t
}

// columns are those of a table: each cell is text, those named in numbers are aligned
// right.
func columns(heading table.Row, numbers []int) []table.ColumnConfig {
	columns := make([]table.ColumnConfig, len(heading))
	for i := range columns {
		columns[i] = table.ColumnConfig{Number: i + 1, Transformer: func(cell any) string { return printable.Text(fmt.Sprint(cell)) }}
	}
	for _, n := range numbers {
		columns[n-1].Align, columns[n-1].AlignHeader = text.AlignRight, text.AlignRight
	}
	return columns
}

// logFlags say what is logged and in which form.
type logFlags struct {
	LogLevel  string `type:"choice" enum:"trace,debug,info,warn,error" default:"${log_level}" help:"What is logged at least: ${enum} (default: ${default})."`
	LogFormat string `type:"choice" enum:"auto,console,json" default:"auto" help:"${enum}; auto is console on a terminal, else json."`
}

// zerolog writes whole seconds by itself; a delay service is about less.
func init() { zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00" }

// logger writes to w in the form and from the level that the flags say.
func (f logFlags) logger(w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(f.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // kong lets no other through
	}
	if f.forPeople(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", NoColor: !isTerminal(w)}
	}
	// Several goroutines log; os.Stderr takes whole lines, other writers need not.
	return zerolog.New(&lockedWriter{w: w}).Level(level).With().Timestamp().Logger()
}

// forPeople reports whether what is logged to w is read as it is, and not by a
// program.
func (f logFlags) forPeople(w io.Writer) bool {
	return f.LogFormat == "console" || f.LogFormat == "auto" && isTerminal(w)
}

// logPatience is how long a line of the log may hold up what logs it. A pipe whose reader
// is alive takes a line at once, unless that is busy.
const logPatience = time.Second

// lockedWriter is the end of a log. It lets one goroutine write at a time. When a write
// takes longer than logPatience, as with a reader that hangs or a terminal that Ctrl-S has
// stopped, lines are dropped until that write ends. Deliveries must not wait for a log.
type lockedWriter struct {
	w io.Writer // used by one goroutine at a time

	mu      sync.Mutex
	hanging <-chan struct{} // closed when the write that takes long ends; nil: none does
	dropped int             // lines since then
}

func (l *lockedWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.hanging:
		l.hanging = nil
	default:
		if l.hanging != nil {
			l.dropped++
			return len(line), nil
		}
	}
	dropped, ended := l.dropped, make(chan struct{})
	l.dropped = 0
	copied, err := bytes.Clone(line), error(nil) // the caller uses line again
	go func() {
		defer close(ended)
		if dropped > 0 {
			log := zerolog.New(l.w)
			log.Warn().Timestamp().Int("lines", dropped).Msg("lines of the log were dropped: nobody read it")
		}
		_, err = l.w.Write(copied)
	}()
	late := time.NewTimer(logPatience)
	defer late.Stop()
	select {
	case <-ended:
		return len(line), err
	case <-late.C:
		l.hanging = ended
		return len(line), nil
	}
}

// plural is n with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
