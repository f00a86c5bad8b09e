package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

const (
	// parkedStep is how many records of each partition one look reads after those that
	// earlier looks have read.
	parkedStep = 2000
	// parkedTail is how many records one look reads from the end of a partition that it
	// does not reach otherwise: they name the targets that failed last.
	parkedTail = 500
	// parkedKept bounds how many parked records are remembered, with 16 bytes each.
	parkedKept = 250_000
)

// ParkedTargets finds out for which targets records are parked. It reads each parked
// record once, a bounded number in each look, and remembers its target. The zero value is
// not usable; see NewParkedTargets. One goroutine at a time may use it.
type ParkedTargets struct {
	cl                *kgo.Client
	names             levels.Names
	step, tail, limit int64

	partitions map[int32]*parkedPartition
	targets    []parkedName // by number
	numbers    map[parkedName]int32
}

// ParkedTarget is what is parked for one target.
type ParkedTarget struct {
	// Target is nil for records that leave it to the default.
	Target *string `json:"target"`
	// Records is how many of those that were read are for it, and Oldest since when the
	// first of them has been parked.
	Records int       `json:"records"`
	Oldest  time.Time `json:"oldest"`
}

// ParkedView is what one look of [ParkedTargets] knows.
type ParkedView struct {
	// Targets are those of the records that were read, the most records first.
	Targets []ParkedTarget `json:"targets"`
	// Unread is how many parked records were not read: neither by an earlier look nor
	// among the last of a partition. Later looks read on.
	Unread int64 `json:"unread"`
}

// parkedName is a target as a record names it.
type parkedName struct {
	topic string
	named bool
}

// parkedPartition is what was read of one partition, without gaps.
type parkedPartition struct {
	from    int64 // the offset of records[0]
	records []parkedRecord
}

func (p *parkedPartition) next() int64 { return p.from + int64(len(p.records)) }

// parkedRecord is the target of one record and when it was parked.
type parkedRecord struct {
	target int32 // noTarget: no record is at this offset
	at     int64 // Unix ms
}

const noTarget = -1

// NewParkedTargets returns a ParkedTargets that asks through cl.
func NewParkedTargets(cl *kgo.Client, names levels.Names) *ParkedTargets {
	p := &ParkedTargets{cl: cl, names: names, step: parkedStep, tail: parkedTail, limit: parkedKept}
	p.reset()
	return p
}

func (p *ParkedTargets) reset() {
	p.partitions, p.targets, p.numbers = make(map[int32]*parkedPartition), nil, make(map[parkedName]int32)
}

// Look reads on and returns what is known by then. An error loses nothing that was read.
func (p *ParkedTargets) Look(ctx context.Context) (ParkedView, error) {
	v := ParkedView{Targets: []ParkedTarget{}}
	spans, err := pendingOn(ctx, p.cl, p.names, p.names.Parked())
	if err != nil {
		return v, err
	}
	kept := int64(0)
	for _, s := range spans {
		kept += p.trim(s)
	}
	if kept == 0 {
		p.reset() // and forget the names of old targets
	}
	found := make(map[int32]*ParkedTarget)
	for _, s := range spans {
		at := p.partitions[s.Partition.Partition]
		if at == nil {
			at = &parkedPartition{from: s.From}
			p.partitions[s.Partition.Partition] = at
		}
		part := s
		part.From = at.next()
		part.To = min(s.To, part.From+min(p.step, max(0, p.limit-kept)))
		kept -= int64(len(at.records))
		if err := p.readOn(ctx, at, part); err != nil {
			return v, err
		}
		kept += int64(len(at.records))
		for _, r := range at.records {
			p.add(found, r)
		}
		last := s
		last.From = max(at.next(), s.To-p.tail)
		v.Unread += max(0, last.From-at.next())
		err := last.Read(ctx, p.cl, func(rec *kgo.Record) error {
			p.add(found, p.parse(rec))
			return nil
		})
		if err != nil {
			return v, err
		}
	}
	for number, t := range found {
		if name := p.targets[number]; name.named {
			t.Target = &name.topic
		}
		v.Targets = append(v.Targets, *t)
	}
	slices.SortFunc(v.Targets, func(a, b ParkedTarget) int {
		name := func(t ParkedTarget) string {
			if t.Target == nil {
				return ""
			}
			return *t.Target
		}
		return cmp.Or(cmp.Compare(b.Records, a.Records), cmp.Compare(name(a), name(b)))
	})
	return v, nil
}

// trim forgets what is delivered, or of another topic of that name, and returns how many
// records of the partition are remembered.
func (p *ParkedTargets) trim(s scan.Span) int64 {
	at := p.partitions[s.Partition.Partition]
	if at == nil {
		return 0
	}
	if s.From < at.from || s.From >= at.next() || at.next() > s.To {
		delete(p.partitions, s.Partition.Partition)
		return 0
	}
	at.from, at.records = s.From, at.records[s.From-at.from:]
	return int64(len(at.records))
}

// readOn adds the records of part, which begins where at ends.
func (p *ParkedTargets) readOn(ctx context.Context, at *parkedPartition, part scan.Span) error {
	if part.From >= part.To {
		return nil
	}
	pad := func(to int64) {
		for at.next() < to {
			at.records = append(at.records, parkedRecord{target: noTarget})
		}
	}
	err := part.Read(ctx, p.cl, func(rec *kgo.Record) error {
		pad(rec.Offset)
		at.records = append(at.records, p.parse(rec))
		return nil
	})
	if err == nil {
		pad(part.To)
	}
	return err
}

// parse returns what there is to remember of a record.
func (p *ParkedTargets) parse(rec *kgo.Record) parkedRecord {
	value, named := record.Last(rec.Headers, levels.HeaderTarget)
	name := parkedName{string(value), named}
	number, ok := p.numbers[name]
	if !ok {
		number = int32(len(p.targets))
		p.targets, p.numbers[name] = append(p.targets, name), number
	}
	return parkedRecord{number, rec.Timestamp.UnixMilli()}
}

// add counts a record.
func (p *ParkedTargets) add(found map[int32]*ParkedTarget, r parkedRecord) {
	if r.target == noTarget {
		return
	}
	at := time.UnixMilli(r.at).UTC()
	t := found[r.target]
	if t == nil {
		t = &ParkedTarget{Oldest: at}
		found[r.target] = t
	}
	t.Records++
	if at.Before(t.Oldest) {
		t.Oldest = at
	}
}
