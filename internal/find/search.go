package find

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

const (
	// follows bounds how many leads are followed: a record that walks leaves a copy on each
	// level that is not purged yet, and an id of a producer's can be that of many records.
	follows = 64
	// sendings bounds how many records that say what was sent again are read for a letter.
	sendings = 20_000
)

// search is one search that is under way.
type search struct {
	cl  *kgo.Client
	cfg Config
	q   Query
	now time.Time
	eye eye
	*layout

	left     int64 // records that may still be read
	read     int64
	seen     []*Sighting
	kept     int  // of those, where the service has not handled the place
	passed   int  // and where it has
	more     bool // there are more than Most
	searched map[string]*Searched
	notes    []string

	fromID bool // the id is one of the service's: it names one record, and says when
}

// run searches near what is known first. What waits, is parked or dead is read as a whole
// only where that finds nothing, and for an id that can be that of several records.
func (s *search) run(ctx context.Context) error {
	base, err := s.origin(ctx)
	if err != nil {
		return err
	}
	leads, followed := []lead{base}, 0
	for len(leads) > 0 {
		before := len(s.seen)
		for _, l := range leads {
			if followed++; followed > follows {
				break
			}
			if err := s.near(ctx, l); err != nil {
				return err
			}
		}
		if s.fromID && s.conclusive() {
			return nil
		}
		leads = s.leads(s.seen[before:])
	}
	if kept, _ := settle(s.seen); len(kept) > 0 && !s.fromID && !s.q.Around.IsZero() {
		return nil
	}
	return s.all(ctx, base)
}

// origin reads the place that the id names, if it names one, and returns what is known of
// the record.
func (s *search) origin(ctx context.Context) (lead, error) {
	base := lead{partition: levels.ByKey, target: s.q.Target, key: s.q.Key, keyed: s.q.Key != nil}
	if !s.q.Around.IsZero() {
		base.from, base.to = s.q.Around.Add(-s.q.Within), s.q.Around.Add(s.q.Within)
	}
	topic, n, offset, accepted, ok := record.ParseOriginID(s.q.ID)
	if !ok {
		return base, nil
	}
	_, isLevel := s.cfg.Names.LevelDelay(topic)
	if topic != s.cfg.Names.Inbox() && !isLevel {
		if of, ok := levels.ServiceOf(topic); ok && of != s.cfg.Names {
			s.note("the id names topic %s, which is one of another installation: --prefix %s", topic, of.Prefix)
		}
		return base, nil
	}
	s.fromID = true
	at := time.UnixMilli(accepted)
	base.from, base.to = at, at
	if accepted == 0 { // a record without a time
		base.from, base.to, s.fromID = time.Time{}, time.Time{}, false
	}
	for _, p := range s.parts[topic] {
		if p.Partition.Partition != n || offset < p.start || offset >= p.end {
			continue
		}
		if err := s.readRanges(ctx, "the place that the id names", []*part{p}, []interval{{offset, offset + 1}}, window{}, s.visit); err != nil {
			return base, err
		}
	}
	for _, found := range s.seen {
		if l := found.lead(); found.Topic == topic && found.Offset == offset {
			l.target = cmp.Or(base.target, l.target)
			base = l
		}
	}
	return base, nil
}

// conclusive reports whether what was found near is where the record is. One that waits and
// is due may be on its way: near has looked at what comes after that, too.
func (s *search) conclusive() bool {
	kept, _ := settle(s.seen)
	for _, k := range kept {
		if k.State == Dead && k.SentAgain != nil {
			continue // and so there is a later one
		}
		return true
	}
	return false
}

// leads are what sightings say that is worth to go on with: of records that have left the
// place.
func (s *search) leads(seen []*Sighting) (leads []lead) {
	for _, found := range seen {
		switch {
		case found.State == Dead && found.SentAgain != nil:
			leads = append(leads, lead{from: *found.SentAgain, to: *found.SentAgain, partition: levels.ByKey, key: found.key, keyed: true})
		case found.State == Waiting && (found.handled || found.Due == nil || found.Due.Sub(s.now) < early):
			l := found.lead()
			if found.handled && found.StepDue != nil && found.Due != nil && found.StepDue.Before(*found.Due) {
				l.from, l.to, l.first = *found.StepDue, *found.StepDue, 0 // the next step
			}
			leads = append(leads, l)
		case found.handled:
			leads = append(leads, found.lead())
		}
	}
	return leads
}

// near reads where a lead says that the record is likely to be.
func (s *search) near(ctx context.Context, l lead) error {
	if l.from.IsZero() || s.waitsSurely() {
		return nil // nothing says when, or the place that the id names is where it waits
	}
	if err := s.expect(ctx, "levels", s.levelParts(l), l.from, l.to, false); err != nil {
		return err
	}
	if err := s.onWalk(ctx, l); err != nil {
		return err
	}
	if s.waitsSurely() {
		return nil
	}
	s.improve(&l)
	from, to := known(l.due, l.from), known(l.due, l.to)
	if err := s.expect(ctx, "parked records", s.parked, from, to, true); err != nil {
		return err
	}
	if err := s.expect(ctx, "dead letters", s.dead, l.from, l.to, false); err != nil {
		return err
	}
	if err := s.expect(ctx, "dead letters", s.dead, from, to, false); err != nil {
		return err
	}
	if err := s.sentAgain(ctx); err != nil {
		return err
	}
	parts, err := s.targetParts(ctx, l)
	if err != nil || parts == nil {
		return err
	}
	return s.expect(ctx, "topic "+parts[0].Topic, parts, from, to, false)
}

// expect reads where a record is expected that got to a topic between two times, in ever
// wider windows, until one has a record with the id. It leaves half of the limit to what
// comes after that.
func (s *search) expect(ctx context.Context, what string, parts []*part, from, to time.Time, pending bool) error {
	for i, width := range widths {
		if i < len(widths)-1 && !from.Equal(to) {
			continue // it is wide already
		}
		before := len(s.seen)
		w := window{from.Add(-width.early), to.Add(width.late)}
		if err := s.sharing(func() error { return s.readWindow(ctx, what, parts, w, pending) }); err != nil {
			return err
		}
		if len(s.seen) > before {
			return nil
		}
	}
	return nil
}

// sharing reads with half of what is left of the limit.
func (s *search) sharing(read func() error) error {
	rest := s.left / 2
	s.left -= rest
	err := read()
	s.left += rest
	return err
}

// known returns the first of two times that is known.
func known(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}

// improve adds to a lead what the sightings of the same record say.
func (s *search) improve(l *lead) {
	for _, found := range s.seen {
		if s.fromID && found.Due != nil && found.SentAgain == nil {
			of := found.lead()
			l.due, l.exact, l.partition, l.key, l.keyed = of.due, of.exact, of.partition, of.key, true
			l.target = cmp.Or(l.target, of.target)
		}
	}
}

// onWalk reads where a record that walks over several levels should be at this
// time.
func (s *search) onWalk(ctx context.Context, l lead) error {
	if !l.from.Equal(l.to) || s.waitsSurely() {
		return nil
	}
	if l.exact && !l.due.IsZero() && l.due.After(l.from) {
		at := walked(s.cfg.Ladder, l.from, l.due, minTime(s.now, l.due), l.first)
		return s.expect(ctx, "levels", s.levelParts(l), at, at, false)
	}
	if !s.fromID || !l.due.IsZero() || len(s.levels) == 0 {
		return nil
	}
	longest := s.levels[0]
	at, ok := laps(longest.delay, l.from, s.now)
	if !ok {
		return nil
	}
	return s.expect(ctx, "level "+levels.FormatDelay(longest.delay), s.narrow(s.parts[longest.topic], l), at, at, false)
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// waitsSurely reports whether the record was found where it waits, and is not due for long
// enough: nothing can have moved it on.
func (s *search) waitsSurely() bool {
	if !s.fromID {
		return false
	}
	kept, _ := settle(s.seen)
	for _, k := range kept {
		leaves := k.Due
		if k.StepDue != nil {
			leaves = k.StepDue
		}
		if k.State == Waiting && k.Level != "" && leaves != nil && leaves.Sub(s.now) > early {
			return true
		}
	}
	return false
}

// all reads all that waits, is parked or is dead, and of the targets what came since the
// record was due.
func (s *search) all(ctx context.Context, base lead) error {
	since := window{}
	if !base.from.IsZero() {
		since.from = base.from.Add(-early)
	}
	if err := s.readWindow(ctx, "the inbox", s.inbox, since, true); err != nil {
		return err
	}
	leads := append([]lead{base}, s.leads(s.seen)...)
	hasTarget := slices.ContainsFunc(leads, func(l lead) bool { return l.target != "" })
	readLevels := func() error {
		read := func() error { return s.readWindow(ctx, "all that waits", s.levelParts(base), since, true) }
		if hasTarget { // which the rest is for
			return s.sharing(read)
		}
		return read()
	}
	// Of what has left its level, the places after that come first.
	_, left := settle(s.seen)
	if left == nil {
		if err := readLevels(); err != nil || s.fromID && s.conclusive() {
			return err
		}
	}
	if err := s.readWindow(ctx, "parked records", s.parked, since, true); err != nil {
		return err
	}
	if err := s.readWindow(ctx, "dead letters", s.dead, since, false); err != nil {
		return err
	}
	if err := s.sentAgain(ctx); err != nil || s.fromID && s.conclusive() {
		return err
	}
	for _, l := range append(leads, s.leads(s.seen)...) {
		if err := s.allOfTarget(ctx, l); err != nil || s.fromID && s.conclusive() {
			return err
		}
	}
	if left != nil {
		return readLevels()
	}
	return nil
}

// allOfTarget reads what came to a target since the record was due, or the newest records
// where nothing says when that was.
func (s *search) allOfTarget(ctx context.Context, l lead) error {
	s.improve(&l)
	parts, err := s.targetParts(ctx, l)
	if err != nil || parts == nil {
		return err
	}
	from := known(l.due, l.from)
	if from.IsZero() {
		wishes := make([]int64, len(parts))
		for i, p := range parts {
			wishes[i] = p.retained().len()
		}
		ranges := make([]interval, len(parts))
		for i, share := range allot(wishes, s.left) {
			ranges[i] = interval{parts[i].end - share, parts[i].end}
			parts[i].wanted = parts[i].wanted.with(parts[i].retained())
		}
		return s.readRanges(ctx, "topic "+parts[0].Topic, parts, ranges, window{}, s.visit)
	}
	oldest, err := earliest(ctx, s.cl, parts)
	if err != nil {
		return err
	}
	if oldest != nil && oldest.After(from) {
		s.of(parts[0].Topic).Earliest = oldest
		s.note("topic %s keeps no records from before %s, and the record was due at %s: if it was delivered on time, it is not there any more",
			parts[0].Topic, oldest.Format(time.RFC3339), from.UTC().Format(time.RFC3339))
	}
	return s.readWindow(ctx, "topic "+parts[0].Topic, parts, window{from: from.Add(-early)}, false)
}

// levelParts are the partitions of levels in which a record can be that a lead is about,
// those of the longest level first.
func (s *search) levelParts(l lead) (parts []*part) {
	for _, of := range s.levels {
		parts = append(parts, s.narrow(s.parts[of.topic], l)...)
	}
	return parts
}

// narrow leaves the partition that the key of a lead chooses.
func (s *search) narrow(parts []*part, l lead) []*part {
	if !l.keyed || l.key == nil || len(parts) == 0 {
		return parts
	}
	n := record.PartitionOf(l.key, int32(len(parts)))
	return parts[n : n+1]
}

// targetParts are the partitions of the target in which a record can be that a lead is
// about; nil where the target is not known or does not exist.
func (s *search) targetParts(ctx context.Context, l lead) ([]*part, error) {
	topic := cmp.Or(s.q.Target, l.target)
	if topic == "" && s.fromID && !l.due.IsZero() {
		topic = s.cfg.DefaultTarget
	}
	targets := record.Targets{Names: s.cfg.Names}
	if topic == "" || targets.Check(topic) != nil {
		return nil, nil
	}
	parts, ok := s.parts[topic]
	if !ok {
		found, err := lookUp(ctx, s.cl, topic)
		if err != nil {
			return nil, err
		}
		parts = found[topic]
		s.parts[topic] = parts
		s.of(topic).Missing = parts == nil
	}
	if n := l.partition; n != levels.ByKey && int(n) < len(parts) {
		return parts[n : n+1], nil
	}
	return s.narrow(parts, l), nil
}

// sentAgain finds out which of the dead letters that were seen were sent again, among the
// records that were written to the topic of that soonest after they died.
func (s *search) sentAgain(ctx context.Context) error {
	for _, letter := range s.seen {
		if letter.State != Dead || letter.SentAgain != nil {
			continue
		}
		topic := s.cfg.Names.Resent()
		parts, ok := s.parts[topic]
		if !ok {
			found, err := lookUp(ctx, s.cl, topic)
			if err != nil {
				return err
			}
			parts = found[topic]
			s.parts[topic] = parts
		}
		ranges, err := window{from: letter.Since}.find(ctx, s.cl, parts)
		if err != nil {
			return err
		}
		var chunks []chunk
		for i, r := range ranges {
			s.covers(parts[i], window{from: letter.Since})
			r.to = min(r.to, r.from+sendings)
			chunks = append(chunks, chunk{parts[i].Partition, r})
		}
		err = readChunks(ctx, s.cl, chunks, func(int64) {}, func(rec *kgo.Record) {
			s.count(rec)
			var of deadletter.Sending
			if json.Unmarshal(rec.Value, &of) == nil && of.Letter == letter.place() && of.Died == letter.Since.UnixMilli() {
				letter.SentAgain, letter.SentTo = when(rec.Timestamp), of.To.String()
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
