package levels_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/delayd-io/delayd/levels"
)

// tableFile holds the cases and describes its own form.
const tableFile = "../testdata/levels.txt"

// tableCase is one case of the table with the ladder and rounding it is under.
type tableCase struct {
	line     int
	why      string
	ladder   levels.Ladder
	rounding levels.Rounding
	request  string
	want     string
}

func TestTable(t *testing.T) {
	for _, c := range readTable(t) {
		if got := answer(c.ladder, c.rounding, c.request); got != c.want {
			t.Errorf("%s:%d: %s\nladder %s, rounding %s\n%q -> %s, want %s",
				tableFile, c.line, c.why, c.ladder, c.rounding, c.request, got, c.want)
		}
	}
}

// answer is what a request gets, in the words of the table.
func answer(ladder levels.Ladder, rounding levels.Rounding, request string) string {
	q, err := levels.ParseRequest(request)
	if err != nil {
		return string(levels.BadLevel)
	}
	level, over := ladder.Grant(q, rounding)
	if level == (levels.Level{}) && !over {
		return "none"
	}
	s := fmt.Sprintf("%s #%d", level, level.Number)
	if over {
		s += " over"
	}
	return s
}

// readTable reads the cases, and insists that each has a reason above it.
func readTable(t *testing.T) []tableCase {
	t.Helper()
	f, err := os.Open(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	var cases []tableCase
	next := tableCase{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		next.line++
		if err := next.read(lines.Text()); err != nil {
			t.Fatalf("%s:%d: %v", tableFile, next.line, err)
		}
		if next.want != "" {
			cases = append(cases, next)
			next.why, next.request, next.want = "", "", ""
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s: no cases", tableFile)
	}
	return cases
}

// read takes in one line; a case is complete when it has set want.
func (c *tableCase) read(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	var err error
	switch word {
	case "":
		c.why = ""
	case "#":
		c.why = rest
	case "ladder":
		if rest == "default" {
			rest = levels.DefaultSpec
		}
		c.ladder, err = levels.Parse(rest)
	case "rounding":
		c.rounding, err = levels.ParseRounding(rest)
	default:
		err = c.readCase(line)
	}
	return err
}

func (c *tableCase) readCase(line string) error {
	request, want, ok := strings.Cut(line, " -> ")
	if !ok || want == "" {
		return fmt.Errorf("%q is not REQUEST -> ANSWER", line)
	}
	if c.why == "" {
		return fmt.Errorf("%q has no line above it that says why it is here", line)
	}
	if strings.HasPrefix(request, `"`) {
		unquoted, err := strconv.Unquote(request)
		if err != nil {
			return fmt.Errorf("request %s: %v", request, err)
		}
		request = unquoted
	}
	c.request, c.want = request, want
	return nil
}
