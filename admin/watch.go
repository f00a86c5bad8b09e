package admin

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// rateWindow is over how long a [Watch] takes rates, at least, once it has looked for
// that long.
const rateWindow = 10 * time.Second

// Watch looks at a service again and again, and adds to each [Status] what takes more
// than one look: rates, and the coming hour. The zero value is not usable; see NewWatch.
// One goroutine at a time may use it.
type Watch struct {
	cl    *kgo.Client
	spec  Spec
	edges edges
	looks []look // the oldest first; the last one before rateWindow and all since
	peak  Peak
}

// NewWatch returns a Watch that asks through cl.
func NewWatch(cl *kgo.Client, spec Spec) *Watch {
	return &Watch{cl: cl, spec: spec, edges: make(edges)}
}

// View is what one look of a [Watch] has found.
type View struct {
	Status
	// Rates are by topic. A topic is missing until there has been a look before.
	Rates map[string]Rate `json:"rates"`
	// Coming is the coming hour.
	Coming Coming `json:"coming"`
	// Peak is the fastest that records were handled.
	Peak Peak `json:"peak"`
}

// Rate is how many records a second were written to a topic, and how many were handled,
// over the last ten seconds or since the look before. On a topic that nobody handles
// Out is 0.
type Rate struct {
	In  float64 `json:"in"`
	Out float64 `json:"out"`
}

// Peak is the highest rate at which records left the levels between two looks, and when
// that was. The zero value is none.
type Peak struct {
	PerSecond float64   `json:"per_second"`
	At        time.Time `json:"at,omitzero"`
}

// look is what rates are made of.
type look struct {
	at     time.Time
	topics map[string]mark
}

// mark is up to where a topic was written and handled.
type mark struct{ written, handled int64 }

// Look counts, at a time that is normally the present. On an error the View holds what
// could be counted; the rates are then those of what was.
func (w *Watch) Look(ctx context.Context, now time.Time) (View, error) {
	counted, status, err := inspected(ctx, w.cl, w.spec, now)
	v := View{Status: status, Rates: map[string]Rate{}, Coming: Coming{From: now.Truncate(time.Minute), Levels: []ComingLevel{}}, Peak: w.peak}
	if err != nil {
		return v, err
	}
	if v.Coming, err = w.edges.find(ctx, w.cl, counted, now); err != nil {
		return v, err
	}
	v.Rates, v.Peak = w.rates(counted, now), w.peak
	return v, nil
}

// rates adds a look and compares it with an earlier one.
func (w *Watch) rates(counted countings, now time.Time) map[string]Rate {
	this := look{now, make(map[string]mark, len(counted))}
	for _, c := range counted {
		this.topics[c.Topic] = mark{c.written, c.handled}
	}
	rates := make(map[string]Rate)
	if n := len(w.looks); n > 0 {
		for len(w.looks) > 1 && now.Sub(w.looks[1].at) >= rateWindow {
			w.looks = w.looks[1:]
		}
		for _, c := range counted {
			if r, ok := this.since(w.looks[0], c); ok {
				rates[c.Topic] = r
			}
		}
		w.peaks(this, counted)
	}
	w.looks = append(w.looks, this)
	return rates
}

// peaks keeps the highest rate at which records left the levels since the look before.
func (w *Watch) peaks(this look, counted countings) {
	out := 0.0
	for _, c := range counted {
		if r, ok := this.since(w.looks[len(w.looks)-1], c); ok && c.kind == level {
			out += r.Out
		}
	}
	if out > w.peak.PerSecond {
		w.peak = Peak{out, this.at}
	}
}

// since is the rate of a topic since an earlier look; false where there is none.
func (l look) since(before look, c *counting) (r Rate, ok bool) {
	was, ok := before.topics[c.Topic]
	seconds := l.at.Sub(before.at).Seconds()
	if !ok || seconds <= 0 {
		return r, false
	}
	is := l.topics[c.Topic]
	r.In = max(0, float64(is.written-was.written)/seconds) // less: the topic is another one
	if c.kind != dead {
		r.Out = max(0, float64(is.handled-was.handled)/seconds)
	}
	return r, true
}
