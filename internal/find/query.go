package find

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

const (
	// DefaultLimit is how many records a search reads at most unless configured.
	DefaultLimit = 1_000_000
	// DefaultWithin is how far from Around the search for a record goes unless
	// configured.
	DefaultWithin = 10 * time.Minute
	// DefaultMost is how many places are returned unless configured.
	DefaultMost = 100
	// DefaultBytes is how much of a key, a value and a header is returned unless configured.
	DefaultBytes = 200

	// maxID bounds an id: no record's header that a broker takes by default is longer.
	maxID = 1 << 20
)

// Query says which record is meant.
type Query struct {
	// ID is its delay-id, or the one that says where it was first accepted.
	ID string
	// Key narrows the search to the partitions that Kafka's default partitioner (murmur2)
	// chooses for it. nil: any key.
	Key []byte
	// Around is about when it was sent, and Within how far from that the search goes. Zero:
	// any time, and DefaultWithin. An id of the service's own says it itself.
	Around time.Time
	Within time.Duration
	// Target is the topic that it was delivered to. Empty: as the record says, where that
	// can still be read.
	Target string
}

// Progress shows how far a search is. Its methods are called from one goroutine.
type Progress interface {
	Start(what string, total int64)
	Add(n int64)
	Done()
}

// Config says how a search goes. The zero value of each field but Names has a default.
type Config struct {
	Names levels.Names
	// Ladder counts the steps of exact records, and says where they are likely to be.
	// Levels that are not in it are searched too.
	Ladder levels.Ladder
	// DefaultTarget is where records without a target go; "" is not known.
	DefaultTarget string
	// Limit bounds how many records are read. 0: DefaultLimit. Below 0: no limit.
	Limit int64
	// Most bounds how many places are returned, and Bytes how much of each key, value and
	// header.
	Most, Bytes int
	// Progress is called while records are read; nil: nobody looks.
	Progress Progress
}

// A FaultError says what is wrong with a query.
type FaultError struct{ error }

func (e FaultError) Unwrap() error { return e.error }

// check finds what is wrong with a query.
func (q *Query) check(names levels.Names) error {
	switch {
	case q.ID == "":
		return errors.New("the id is empty; write the delay-id of a record")
	case len(q.ID) > maxID:
		return fmt.Errorf("the id has %d bytes; no delay-id has more than %d", len(q.ID), maxID)
	case q.Within < 0:
		return fmt.Errorf("within %v: write a duration above 0", q.Within)
	case q.Target == "":
		return nil
	}
	targets := record.Targets{Names: names}
	if refusal := targets.Check(q.Target); refusal != nil {
		return errors.New(refusal.Detail)
	}
	return nil
}

// Find says where the records with an id are. An error of the brokers ends it; that nothing
// was found is no error. The error is a [FaultError] where the query is wrong.
func Find(ctx context.Context, cl *kgo.Client, cfg Config, q Query) (*Result, error) {
	if err := q.check(cfg.Names); err != nil {
		return nil, FaultError{err}
	}
	q.Within = cmp.Or(q.Within, DefaultWithin)
	cfg.Most, cfg.Bytes = cmp.Or(cfg.Most, DefaultMost), cmp.Or(cfg.Bytes, DefaultBytes)
	s := &search{cl: cl, cfg: cfg, q: q, now: time.Now(), left: cmp.Or(cfg.Limit, DefaultLimit), searched: make(map[string]*Searched)}
	s.eye = eye{names: cfg.Names, ladder: cfg.Ladder, id: []byte(q.ID), bytes: cfg.Bytes}
	if cfg.Limit < 0 {
		s.left = 1 << 62
	}
	var err error
	if s.layout, err = discover(ctx, cl, cfg.Names, cfg.Ladder); err != nil {
		return nil, err
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	if err := s.cancels(ctx); err != nil {
		return nil, err
	}
	return s.result(), nil
}
