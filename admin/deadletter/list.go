package deadletter

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

// Letter is a dead letter.
type Letter struct {
	// Topic, Partition and Offset are where it stands, and Died is since when.
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Died      time.Time `json:"died"`
	// Code and Detail say why. A record without a code is no letter of the service's.
	Code   levels.Code `json:"code"`
	Detail string      `json:"detail"`
	// Origin is where the record was read: topic/partition/offset.
	Origin string `json:"origin"`
	// Target is what the record asks for; nil where it leaves that to the default.
	Target *string `json:"target"`
	// Attempts is how often delivery was tried; nil where that is not known.
	Attempts *int `json:"attempts"`
	// Retried is what it says of its retries; nil for nothing.
	Retried *admin.Retried `json:"retried,omitempty"`
	// ID is its delay-id.
	ID      string         `json:"id,omitempty"`
	Key     *admin.Preview `json:"key"`
	Headers []admin.Header `json:"headers"`
	Value   *admin.Preview `json:"value"`
	// LeftOut says what the letter does not hold of its record, because the topic does
	// not take it whole; "" where it is whole.
	LeftOut string `json:"left_out,omitempty"`

	// SentAgain is when it was sent again, and SentTo where to; nil and "" where it
	// was not.
	SentAgain *time.Time `json:"sent_again,omitempty"`
	SentTo    string     `json:"sent_to,omitempty"`
	// DiedBefore is where the letter stands that was sent again and died as this one;
	// "" for none. Deaths is how often the message has died, as far as is known.
	DiedBefore string `json:"died_before,omitempty"`
	Deaths     int    `json:"deaths"`
}

func newLetter(rec *kgo.Record) *Letter {
	text := func(key string) string {
		value, _ := record.Last(rec.Headers, key)
		return string(value)
	}
	l := &Letter{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Died: rec.Timestamp.UTC(), Deaths: 1,
		Code: levels.Code(text(levels.HeaderError)), Detail: text(levels.HeaderErrorDetail),
		Origin: text(levels.HeaderOrigin), ID: text(levels.HeaderID),
		Key: admin.NewPreview(rec.Key, admin.PreviewBytes), Headers: admin.NewHeaders(rec.Headers, admin.PreviewBytes),
		Value:   admin.NewPreview(rec.Value, admin.PreviewBytes),
		LeftOut: record.LeftOut(rec), Retried: admin.NewRetried(rec),
	}
	if target, given := record.Last(rec.Headers, levels.HeaderTarget); given {
		s := string(target)
		l.Target = &s
	}
	if n, err := strconv.Atoi(text(levels.HeaderAttempts)); err == nil {
		l.Attempts = &n
	}
	return l
}

func (l *Letter) place() admin.Place {
	return admin.Place{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset}
}

// parsePlace reads a place as a header has it.
func parsePlace(s string) (p admin.Place, ok bool) {
	err := p.UnmarshalText([]byte(s))
	return p, err == nil
}

// tell notes what is known of a letter's sendings.
func (l *Letter) tell(all *sendings) {
	if s, ok := all.before(l); ok {
		l.DiedBefore, l.Deaths = s.Letter.String(), s.Times+1
	}
	if s, ok := all.of(l); ok {
		l.SentAgain, l.SentTo = &s.At, s.To.String()
	}
}

// Filter says which dead letters are meant: those that all of it is true of.
type Filter struct {
	// Codes has the code; none: any.
	Codes []levels.Code
	// Target is what they ask for; "": any.
	Target string
	// Since and Until bound when they died: at or after the one, and before the
	// other. Zero: no bound.
	Since, Until time.Time
	// Offsets are where they stand; none: anywhere. One at which no record is, is an
	// error once all others have been handled.
	Offsets []int64
	// Limit is how many are enough, the oldest first. 0: all.
	Limit int
	// Newest makes List return the newest ones, those first.
	Newest bool
}

func (f *Filter) takes(l *Letter) bool {
	switch {
	case len(f.Codes) > 0 && !slices.Contains(f.Codes, l.Code),
		f.Target != "" && (l.Target == nil || *l.Target != f.Target),
		!f.Since.IsZero() && l.Died.Before(f.Since),
		!f.Until.IsZero() && !l.Died.Before(f.Until),
		len(f.Offsets) > 0 && !slices.Contains(f.Offsets, l.Offset):
		return false
	}
	return true
}

// List lists dead letters, the oldest first unless the filter says otherwise, and
// says whether there are more of them than the limit. It reads the whole topic: what it
// keeps of a letter is a few kilobytes.
func List(ctx context.Context, cl *kgo.Client, names levels.Names, f Filter) (list []*Letter, more bool, err error) {
	all, err := readSendings(ctx, cl, names)
	if err != nil {
		return nil, false, err
	}
	err = f.each(ctx, cl, names, func(_ scan.Span, _ *kgo.Record, l *Letter) error {
		l.tell(all)
		list = append(list, l)
		switch {
		case f.Limit == 0:
		case f.Newest && len(list) >= 2*f.Limit+newestRoom: // now and then: it has to be sorted
			list, more = latest(list, f.Limit), true
		case !f.Newest && len(list) > f.Limit:
			list, more = list[:f.Limit], true
			return scan.ErrEnough
		}
		return nil
	})
	if f.Newest {
		more = more || f.Limit > 0 && len(list) > f.Limit
		list = latest(list, f.Limit)
	}
	return list, more, err
}

// newestRoom is how many letters are kept at least before the oldest are dropped.
const newestRoom = 1000

// latest returns the newest of some letters, those first. limit 0 is all.
func latest(list []*Letter, limit int) []*Letter {
	slices.SortStableFunc(list, func(a, b *Letter) int {
		return cmp.Or(b.Died.Compare(a.Died), cmp.Compare(b.Offset, a.Offset))
	})
	if limit > 0 && len(list) > limit {
		clear(list[limit:]) // they hold a lot
		list = list[:limit]
	}
	return list
}

// Summary is how many dead letters have one code and one target.
type Summary struct {
	Code levels.Code `json:"code"`
	// Target is what they ask for; nil where they leave that to the default.
	Target  *string   `json:"target"`
	Letters int       `json:"letters"`
	Oldest  time.Time `json:"oldest"`
	Newest  time.Time `json:"newest"`
	// SentAgain is how many of them were sent again.
	SentAgain int `json:"sent_again"`
}

// Summarize counts dead letters by code and target, the most first. The limit of
// the filter does not count.
func Summarize(ctx context.Context, cl *kgo.Client, names levels.Names, f Filter) ([]Summary, error) {
	all, err := readSendings(ctx, cl, names)
	if err != nil {
		return nil, err
	}
	var t tally
	err = f.each(ctx, cl, names, func(_ scan.Span, _ *kgo.Record, l *Letter) error {
		l.tell(all)
		t.add(l)
		return nil
	})
	return t.summaries(), err
}

// tally counts letters by code and target.
type tally map[tallyKey]*Summary

type tallyKey struct {
	code   levels.Code
	target string
	named  bool // whether there is a target
}

func (t *tally) add(l *Letter) {
	key := tallyKey{code: l.Code, named: l.Target != nil}
	if key.named {
		key.target = *l.Target
	}
	if *t == nil {
		*t = make(tally)
	}
	s := (*t)[key]
	if s == nil {
		s = &Summary{Code: l.Code, Target: l.Target, Oldest: l.Died, Newest: l.Died}
		(*t)[key] = s
	}
	s.Letters++
	if l.SentAgain != nil {
		s.SentAgain++
	}
	if l.Died.Before(s.Oldest) {
		s.Oldest = l.Died
	}
	if l.Died.After(s.Newest) {
		s.Newest = l.Died
	}
}

func (t tally) summaries() []Summary {
	keys := slices.SortedFunc(maps.Keys(t), func(a, b tallyKey) int {
		return cmp.Or(cmp.Compare(t[b].Letters, t[a].Letters), cmp.Compare(a.code, b.code), cmp.Compare(a.target, b.target))
	})
	list := make([]Summary, len(keys))
	for i, key := range keys {
		list[i] = *t[key]
	}
	return list
}

// cut leaves of spans what can hold the offsets of the filter.
func (f *Filter) cut(spans []scan.Span) {
	if len(f.Offsets) == 0 {
		return
	}
	for i := range spans {
		spans[i].From = max(spans[i].From, slices.Min(f.Offsets))
		spans[i].To = min(spans[i].To, slices.Max(f.Offsets)+1)
	}
}

// each visits the letters that the filter takes, until visit returns scan.ErrEnough.
func (f *Filter) each(ctx context.Context, cl *kgo.Client, names levels.Names, visit func(scan.Span, *kgo.Record, *Letter) error) error {
	left := make(map[int64]bool, len(f.Offsets))
	for _, offset := range f.Offsets {
		left[offset] = true
	}
	enough := false
	err := eachLetterOf(ctx, cl, names, f, func(s scan.Span, rec *kgo.Record, l *Letter) error {
		delete(left, l.Offset)
		if !f.takes(l) {
			return nil
		}
		err := visit(s, rec, l)
		enough = err == scan.ErrEnough
		return err
	})
	if err != nil || enough || len(left) == 0 {
		return err
	}
	return &MissingError{names.Dead(), slices.Sorted(maps.Keys(left))}
}

// MissingError says that there is no record at offsets that were asked for.
type MissingError struct {
	Topic   string
	Offsets []int64
}

func (e *MissingError) Error() string {
	words := make([]string, len(e.Offsets))
	for i, offset := range e.Offsets {
		words[i] = strconv.FormatInt(offset, 10)
	}
	return fmt.Sprintf("topic %s has no dead letter at offset %s", e.Topic, strings.Join(words, ", "))
}

// letterSpans are what can be read of the dead letters' topic, which has to exist: one
// that does not is a prefix that somebody misspelt, and not a day without faults.
func letterSpans(ctx context.Context, cl *kgo.Client, names levels.Names) ([]scan.Span, error) {
	spans, err := scan.Readable(ctx, cl, names.Dead())
	if err == nil && spans == nil {
		err = fmt.Errorf("topic %s does not exist: check --prefix; delayd admin provision creates it", names.Dead())
	}
	return spans, err
}

// eachLetter visits the dead letters. There is one partition of them unless somebody
// has made more.
func eachLetter(ctx context.Context, cl *kgo.Client, names levels.Names, visit func(scan.Span, *kgo.Record, *Letter) error) error {
	return eachLetterOf(ctx, cl, names, &Filter{}, visit)
}

// eachLetterOf visits those among which are all that the filter takes. It calls visit with
// the whole span.
func eachLetterOf(ctx context.Context, cl *kgo.Client, names levels.Names, f *Filter, visit func(scan.Span, *kgo.Record, *Letter) error) error {
	spans, err := letterSpans(ctx, cl, names)
	if err != nil {
		return err
	}
	cut := slices.Clone(spans)
	f.cut(cut)
	enough := false
	for i, s := range spans {
		err := cut[i].Read(ctx, cl, func(rec *kgo.Record) error {
			err := visit(s, rec, newLetter(rec))
			enough = err == scan.ErrEnough
			return err
		})
		if err != nil || enough {
			return err
		}
	}
	return nil
}
