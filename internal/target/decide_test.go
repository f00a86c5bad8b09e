package target

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// tableLine is a line of a table in testdata that is no comment.
type tableLine struct {
	number     int
	why        string // the comment above it
	text, want string // before and after the arrow
}

// readTable reads a table. Each line has a comment above it that says why it is there;
// those at the top, up to the first empty line, describe the form.
func readTable(t *testing.T, file string) (lines []tableLine) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	why, described := "", false
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		text := strings.TrimSpace(s.Text())
		switch {
		case text == "":
			why, described = "", true
		case strings.HasPrefix(text, "#"):
			why = strings.TrimSpace(text[1:])
		default:
			before, after, arrow := strings.Cut(text, " -> ")
			if !arrow || why == "" || !described {
				t.Fatalf("%s:%d: want a reason in the line above, and an arrow: %s", file, n, text)
			}
			lines = append(lines, tableLine{n, why, before, after})
			why = ""
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

const (
	errorsFile   = "testdata/errors.txt"
	failuresFile = "testdata/failures.txt"
)

// otherErrors are the errors that have other names in the table than Kafka's.
var otherErrors = map[string]error{
	"no-answer":       errors.New("not acknowledged for 5s"),
	"wrong-partition": errors.New("invalid record partitioning choice of 7 from 3 available"),
	"foreign-service": fmt.Errorf("%w, with the prefix other", ErrForeign),
}

func parseError(name string) error {
	if err := otherErrors[name]; err != nil {
		return err
	}
	for code := range int16(200) {
		if e := kerr.TypedErrorForCode(code); e != nil && e.Message == name {
			return fmt.Errorf("wrapped: %w", e)
		}
	}
	return nil
}

// TestErrors: what an error says, and the code of a record that is dead-lettered for it.
func TestErrors(t *testing.T) {
	shown := make(map[Class]bool)
	for _, l := range readTable(t, errorsFile) {
		err := parseError(l.text)
		if err == nil {
			t.Fatalf("%s:%d: unknown error %q", errorsFile, l.number, l.text)
		}
		class, code := Classify(err)
		if got := fmt.Sprintf("%v, %s", class, code); got != l.want || CodeOf(err) != code {
			t.Errorf("%s:%d: %s\ngot  %s\nwant %s", errorsFile, l.number, l.why, got, l.want)
		}
		shown[class] = true
	}
	for c := range classNames {
		if !shown[Class(c)] {
			t.Errorf("%s shows no error that is %v", errorsFile, Class(c))
		}
	}
}

// The bounds of the situations that TestFailures tries.
const (
	giveUp      = time.Hour
	missingWait = time.Minute
)

// matches reports whether a class and a situation have what a line's words say.
func matches(words []string, c Class, s Situation) (bool, error) {
	bound := s.GiveUp
	if c == Missing {
		bound = s.MissingWait
	}
	for _, word := range words {
		is, known := map[string]bool{
			c.String(): true, s.Kind.String(): true,
			"transaction": s.Transaction, "alone": s.Alone, "together": !s.Alone,
			"compressed": s.Compressed, "plain": !s.Compressed,
			"letter": s.Letter, "level": s.Level, "old": old(s.Age, bound),
		}[word]
		if !known && !slices.Contains(classNames[:], word) && !slices.Contains(kindNames[:], word) {
			return false, fmt.Errorf("unknown word %q", word)
		}
		if !is {
			return false, nil
		}
	}
	return true, nil
}

func (d Decision) text() string {
	if d.Refresh {
		return d.Action.String() + ", refresh"
	}
	return d.Action.String()
}

// situations are all that there can be.
func situations() (all []Situation) {
	for n := range 1 << 5 {
		bit := func(i int) bool { return n>>i&1 == 1 }
		for k := range kindNames {
			for _, age := range []time.Duration{0, missingWait - 1, missingWait, giveUp - 1, giveUp} {
				s := Situation{Kind: Kind(k), Letter: bit(0), Level: bit(1), Transaction: bit(2), Alone: bit(3), Compressed: bit(4), Age: age}
				if s.Kind != Own && (s.Letter || s.Level) || s.Letter && s.Level {
					continue // there is no such thing
				}
				all = append(all, s)
				s.GiveUp, s.MissingWait = giveUp, missingWait
				all = append(all, s)
			}
		}
	}
	return all
}

// TestFailures: the table decides every situation as Decide does, and each of its lines
// decides some.
func TestFailures(t *testing.T) {
	lines := readTable(t, failuresFile)
	used := make(map[int]bool)
	for c := range classNames {
		for _, s := range situations() {
			class, found := Class(c), false
			for _, l := range lines {
				is, err := matches(strings.Fields(l.text), class, s)
				if err != nil {
					t.Fatalf("%s:%d: %v", failuresFile, l.number, err)
				}
				if !is {
					continue
				}
				found, used[l.number] = true, true
				if got := Decide(class, s).text(); got != l.want {
					t.Fatalf("%s:%d: %s\n%v: %+v\ngot  %s\nwant %s", failuresFile, l.number, l.why, class, s, got, l.want)
				}
				break
			}
			if !found {
				t.Fatalf("%s: no line for %v: %+v", failuresFile, class, s)
			}
		}
	}
	for _, l := range lines {
		if !used[l.number] {
			t.Errorf("%s:%d: lines above it decide all of it: %s", failuresFile, l.number, l.text)
		}
	}
}

// TestAbsent: what counts as a topic that is not there, and as no answer at all.
func TestAbsent(t *testing.T) {
	for err, want := range map[error]bool{
		nil: false, kerr.UnknownTopicOrPartition: true, kerr.TopicAuthorizationFailed: true,
		kerr.NotEnoughReplicas: false, kerr.InvalidTopicException: false,
	} {
		if got := Absent(err); got != want {
			t.Errorf("%v: absent %v, want %v", err, got, want)
		}
	}
	if !Unanswered(errors.New("dial tcp: refused")) || Unanswered(fmt.Errorf("x: %w", kerr.NotEnoughReplicas)) {
		t.Error("only what a broker says is an answer")
	}
}

const statesFile = "testdata/states.txt"

// TestStates plays the events of each line, and sees to it that every state is reached
// from every one that it can be reached from.
func TestStates(t *testing.T) {
	moves := make(map[[2]State]bool)
	for _, l := range readTable(t, statesFile) {
		kind, events, _ := strings.Cut(l.text, ": ")
		k := slices.Index(kindNames[:], kind)
		if k < 0 {
			t.Fatalf("%s:%d: unknown kind %q", statesFile, l.number, kind)
		}
		m := &machine{Target: New(Kind(k), false, time.Time{})}
		var got string
		for event := range strings.SplitSeq(events, ", ") {
			from := m.State()
			answer, err := m.play(strings.Fields(event))
			if err != nil {
				t.Fatalf("%s:%d: %s: %v", statesFile, l.number, event, err)
			}
			got = m.State().String() + answer
			moves[[2]State{from, m.State()}] = true
		}
		if got != l.want {
			t.Errorf("%s:%d: %s\ngot  %s\nwant %s", statesFile, l.number, l.why, got, l.want)
		}
	}
	for _, move := range [][2]State{
		{Streaming, Probing}, {Probing, Streaming}, {Streaming, Parked}, {Probing, Parked}, {Streaming, Draining},
		{Draining, Parked}, {Draining, Streaming}, {Parked, HalfOpen}, {Parked, Streaming}, {HalfOpen, Streaming}, {HalfOpen, Parked},
	} {
		if !moves[move] {
			t.Errorf("%s does not show how %v becomes %v", statesFile, move[0], move[1])
		}
	}
}

// machine is a target and the clock that its events come by.
type machine struct {
	Target
	now time.Time
}

// play plays an event, and returns what the target answers.
func (m *machine) play(words []string) (answer string, err error) {
	n := func(i int) int {
		v, e := strconv.Atoi(words[i])
		if e != nil {
			err = e
		}
		return v
	}
	if len(words) == 0 {
		return "", errors.New("no event")
	}
	switch words[0] {
	case "wait":
		d, err := time.ParseDuration(words[1])
		m.now = m.now.Add(d)
		return "", err
	case "fail":
		m.Failed()
	case "write": // SENT
		m.Progressed(m.now, int64(n(1)))
	case "come": // INFLIGHT
		a := m.Admit(n(1))
		if a == Park {
			m.Park()
		}
		return ", " + a.String(), err
	case "check": // HELD INFLIGHT SENT FAILING
		failing, e := time.ParseDuration(words[4])
		if m.Stalled(m.now, Counts{Held: n(1), InFlight: n(2), Sent: int64(n(3)), Failing: failing}) {
			m.Park()
		}
		return "", errors.Join(err, e)
	case "pause": // HELD INFLIGHT
		if m.Pause(n(1), n(2)) == Park {
			m.Park()
		}
	case "resume":
		return ", " + m.Resume().String(), nil
	case "answers": // INFLIGHT
		if m.Drained(n(1)) {
			m.Park()
		}
	case "look": // PARKED [more]
		a := m.Look(m.now, int64(n(1)), len(words) > 2)
		return ", " + a.String(), err
	case "park":
		m.Park()
	case "write?":
		return map[bool]string{true: ", writes", false: ", writes nothing"}[m.Writable()], nil
	default:
		return "", fmt.Errorf("unknown event %q", words[0])
	}
	return "", err
}
