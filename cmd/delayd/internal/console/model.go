package console

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/printable"
)

// Seen is when an answer was true, and why it is not the present one.
type Seen struct {
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"`
}

// Levels is what waits, as `delayd admin status -o json` says it, with rates.
type Levels struct {
	Seen
	Status admin.Status `json:"status"`
	// Rates are by topic, in records a second.
	Rates  map[string]admin.Rate `json:"rates"`
	Paused []admin.Paused        `json:"paused"`
	// Alerts are what asks for somebody to do something, the worst first.
	Alerts []Alert `json:"alerts"`
}

// Alert is something that an operator should know first.
type Alert struct {
	// Severity is "critical" (records are late, or nobody delivers) or "warning".
	Severity string `json:"severity"`
	Text     string `json:"text"`
	// Page shows more of it.
	Page string `json:"page"`
}

// Due is the coming hour.
type Due struct {
	Seen
	admin.Coming
	Total []int64 `json:"total"`
	// Overdue is what should have been delivered before.
	Overdue int64      `json:"overdue"`
	Peak    admin.Peak `json:"peak"`
}

// Targets is how deliveries go.
type Targets struct {
	Seen
	// Instance has made the deliveries that Lateness counts, since From.
	Instance string     `json:"instance"`
	From     time.Time  `json:"from"`
	Lateness []Lateness `json:"lateness"`
	// Parked is how many records are parked in the whole cluster, and Draining how many
	// a second leave; DrainSeconds is how long that takes, nil where none leave.
	Parked       int64    `json:"parked"`
	Draining     float64  `json:"draining"`
	DrainSeconds *float64 `json:"drain_seconds"`
	// Paused and Unavailable are how many targets are known to be that.
	Paused      int `json:"paused"`
	Unavailable int `json:"unavailable"`
	// Targets is the part of those that was asked for: at most a page of the Matching
	// ones, after the first Skipped.
	Targets  []Target `json:"targets"`
	Matching int      `json:"matching"`
	Skipped  int      `json:"skipped"`
	// Unread is how many parked records were not read for that, yet: a target that has
	// none but those is missing.
	Unread int64 `json:"unread"`
}

// targetQuery says which targets are asked for.
type targetQuery struct {
	name        string // a part of it; "" is all
	state       string // "" is both
	skip, limit int
}

// pick cuts the list to what is asked for: the unavailable first, and of those the ones
// with the most parked records.
func (t *Targets) pick(q targetQuery) {
	for _, of := range t.Targets {
		if of.State == paused {
			t.Paused++
		} else {
			t.Unavailable++
		}
	}
	t.Targets = slices.DeleteFunc(t.Targets, func(of Target) bool {
		return !strings.Contains(of.Target, q.name) || q.state != "" && q.state != of.State
	})
	slices.SortFunc(t.Targets, func(a, b Target) int {
		return cmp.Or(-cmp.Compare(a.State, b.State), cmp.Compare(b.Parked, a.Parked), cmp.Compare(a.Target, b.Target))
	})
	t.Matching = len(t.Targets)
	t.Skipped = min(q.skip, t.Matching)
	t.Targets = t.Targets[t.Skipped:min(t.Skipped+q.limit, t.Matching)]
}

// The states of a target.
const paused, unavailable = "paused", "unavailable"

// Target is a target with something to say of it: one that delivers on time is left out.
type Target struct {
	Target string `json:"target"` // "" is the default target where there is none
	// State is paused, or unavailable: its records are parked and tried again.
	State string `json:"state"`
	// Parked is how many of the parked records that were read are for it, and Oldest since
	// when the first of them has been parked.
	Parked int        `json:"parked"`
	Oldest *time.Time `json:"oldest"`
	// Since and Reason are of a pause.
	Since  *time.Time `json:"since"`
	Reason string     `json:"reason,omitempty"`
}

// Instances is who is there.
type Instances struct {
	Seen
	Clock     *admin.Clock `json:"clock"`
	ClockText string       `json:"clock_text"`
	Instances []Instance   `json:"instances"`
	// Unheld are partitions that nobody handles.
	Unheld []Share `json:"unheld"`
	// Unknown are topics of which it is not known who handles them.
	Unknown []string `json:"unknown"`
}

// Instance is a process that handles partitions.
type Instance struct {
	Instance string   `json:"instance"`
	Hosts    []string `json:"hosts"` // where it connects from
	Count    int      `json:"partitions"`
	Shares   []Share  `json:"shares"`
}

// Share is partitions of one topic.
type Share struct {
	Topic      string  `json:"topic"`
	Partitions []int32 `json:"partitions"`
}

// Drift is what `delayd admin plan` would change.
type Drift struct {
	Seen
	Steps admin.Steps `json:"steps"`
}

func (c *Console) seen(at time.Time, err error) Seen {
	s := Seen{At: at.UTC()}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

func (c *Console) levels(a answer[view]) Levels {
	l := Levels{Seen: c.seen(a.at, a.err), Status: a.value.Status, Rates: a.value.Rates, Paused: a.value.Paused}
	if l.Status.Levels == nil {
		l.Status.Levels = []admin.TopicStatus{}
	}
	if l.Rates == nil {
		l.Rates = map[string]admin.Rate{}
	}
	if l.Paused == nil {
		l.Paused = []admin.Paused{}
	}
	l.Alerts = alerts(a)
	return l
}

// lateEnough is how late records have to be for an alert: less may be on its way.
const lateEnough = 10 * time.Second

// skewed is from which difference of the clocks on there is an alert.
const skewed = time.Second

// cancelsFull is the part of the cancels that may be outstanding from which on there is an alert, as
// DelaydCancelsFull of deploy/prometheus has it.
const cancelsFull = 0.8

// fewAlerts is how many alerts of one kind are lines of their own. More are one line.
const fewAlerts = 3

// alerts are what an operator should know first.
func alerts(a answer[view]) []Alert {
	list := []Alert{}
	add := func(severity, page, format string, args ...any) {
		list = append(list, Alert{severity, fmt.Sprintf(format, args...), page})
	}
	// Many alerts of one kind are one line: 64 of them would hide what is below.
	group := func(each []Alert, severity, page, format string, args ...any) {
		if len(each) <= fewAlerts {
			list = append(list, each...)
			return
		}
		add(severity, page, format, args...)
	}
	if a.at.IsZero() {
		return list
	}
	v := a.value
	every := everyTopic(v.Status)
	isPaused := func(level string) bool {
		return slices.ContainsFunc(v.Paused, func(p admin.Paused) bool { return p.Level != "" && p.Level == level })
	}
	var missing []string
	var overdue []Alert
	allOverdue, worst, worstLevel := int64(0), time.Duration(0), ""
	nobody := true
	for _, t := range append(slices.Clone(every), v.Dead) {
		if t.Partitions == 0 && !t.Retired {
			missing = append(missing, t.Topic)
		}
	}
	for _, t := range every {
		nobody = nobody && t.Members == 0
		switch by, late := t.Late(v.At); {
		case t.Topic == v.Parked.Topic || isPaused(t.Level) && t.Level != "":
		case late && by > lateEnough && t.Level != "":
			overdue = append(overdue, Alert{"critical", fmt.Sprintf("Level %s: %s overdue, the oldest for %s", t.Level, records(t.Overdue), span(by)), "./"})
			allOverdue += t.Overdue
			if by > worst {
				worst, worstLevel = by, t.Level
			}
		case late && by > lateEnough:
			add("critical", "./", "Inbox: %s not routed, the oldest for %s", records(t.Pending), span(by))
		}
	}
	group(overdue, "critical", "./", "%d levels: %s overdue, the oldest for %s on level %s", len(overdue), records(allOverdue), span(worst), worstLevel)
	if nobody && len(missing) == 0 {
		add("critical", "instances", "No instance is a member of delayd's groups: nothing is routed and nothing is delivered")
	}
	if len(missing) > 0 {
		add("critical", "drift", "Missing: %s. delayd admin provision creates what is missing", someOf(missing))
	}
	if v.Parked.Pending > 0 {
		add("warning", "targets", "%s parked for targets that are paused or take no records", records(v.Parked.Pending))
	}
	for _, page := range []string{"./", "targets"} {
		var pauses []Alert
		var names []string
		var longest time.Duration
		for _, p := range v.Paused {
			if (p.Target != "") != (page == "targets") {
				continue
			}
			since := v.At.Sub(p.Since)
			text := fmt.Sprintf("Paused: %s, for %s", printable.Text(p.String()), span(since))
			if p.Reason != "" {
				text += ": " + printable.Text(p.Reason)
			}
			pauses = append(pauses, Alert{"warning", text, page})
			names = append(names, printable.Text(p.Level+p.Target)) // one of them
			longest = max(longest, since)
		}
		kind := map[string]string{"./": "levels", "targets": "targets"}[page]
		group(pauses, "warning", page, "Paused: %d %s, for up to %s: %s", len(pauses), kind, span(longest), someOf(names))
	}
	var held, unheld []Alert
	var heldOn, unheldOn []string
	allHeld, allUnheld := int64(0), 0
	for _, t := range every {
		name := nameOf(v.Status, t)
		if t.Held > 0 {
			held = append(held, Alert{"warning", fmt.Sprintf("%s: %s behind a producer's transaction that has not ended", name, records(t.Held)), "./"})
			heldOn, allHeld = append(heldOn, name), allHeld+t.Held
		}
		if n := len(t.Unheld()); t.Members > 0 && n > 0 {
			unheld = append(unheld, Alert{"warning", fmt.Sprintf("%s: nobody handles %d of %d partitions", name, n, t.Partitions), "instances"})
			unheldOn, allUnheld = append(unheldOn, name), allUnheld+n
		}
	}
	group(held, "warning", "./", "%s behind producers' transactions that have not ended, on %d topics: %s", records(allHeld), len(held), someOf(heldOn))
	group(unheld, "warning", "instances", "Nobody handles %d partitions of %d topics: %s", allUnheld, len(unheld), someOf(unheldOn))
	if n, most := v.Status.CancelsPending, v.Status.CancelsMax; most > 0 && float64(n) > cancelsFull*float64(most) {
		add("warning", "./", "%s of at most %s cancels are outstanding: beyond that they are dead letters", number(n), number(most))
	}
	if c := v.Clock; c != nil && (c.Least != nil && *c.Least > skewed || c.Most < -skewed) {
		add("warning", "instances", "%s", clockText(c))
	}
	slices.SortStableFunc(list, func(a, b Alert) int { return cmp.Compare(a.Severity, b.Severity) })
	return list
}

// someOf names the first of many.
func someOf(names []string) string {
	const most = 4
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// everyTopic are the topics on which something can be late.
func everyTopic(s admin.Status) []admin.TopicStatus {
	return append(append([]admin.TopicStatus{s.Inbox}, s.Levels...), s.Parked)
}

// nameOf is what a topic is called.
func nameOf(s admin.Status, t admin.TopicStatus) string {
	switch t.Topic {
	case s.Inbox.Topic:
		return "Inbox"
	case s.Parked.Topic:
		return "Parked"
	}
	return "Level " + t.Level
}

// clockText says how far this machine's clock is from the cluster's.
func clockText(c *admin.Clock) string {
	switch {
	case c == nil:
		return "Clocks not compared: no record is newer than a minute, and only those with DESCRIBE on the cluster are told the controller's time."
	case c.Least != nil:
		middle, side := (*c.Least+c.Most)/2, "ahead of"
		if middle < 0 {
			side = "behind"
		}
		return fmt.Sprintf("This machine's clock is %s %s the cluster's controller, give or take %s.", span(middle.Abs()), side, span((c.Most-*c.Least)/2))
	case c.Most < 0:
		return fmt.Sprintf("This machine's clock is at least %s behind the brokers', by their newest record.", span(-c.Most))
	}
	return fmt.Sprintf("This machine's clock is at most %s ahead of the brokers', by their newest record.", span(c.Most))
}

func (c *Console) due(a answer[view]) Due {
	d := Due{Seen: c.seen(a.at, a.err), Coming: a.value.Coming, Total: a.value.Coming.Total(), Peak: a.value.Peak}
	if d.Coming.Levels == nil {
		d.Coming.Levels = []admin.ComingLevel{}
	}
	for _, l := range a.value.Status.Levels {
		d.Overdue += l.Overdue
	}
	return d
}

func (c *Console) targets(a answer[view], p answer[admin.ParkedView]) Targets {
	v := a.value
	t := Targets{
		Seen: c.seen(a.at, cmp.Or(a.err, p.err)), Instance: c.cfg.Instance, From: v.From.UTC(), Lateness: []Lateness{}, Targets: []Target{},
		Parked: v.Status.Parked.Pending, Draining: v.topicRate(v.Status.Parked.Topic).Out, Unread: p.value.Unread,
	}
	for _, l := range v.Lateness {
		t.Lateness = append(t.Lateness, l)
	}
	slices.SortFunc(t.Lateness, func(a, b Lateness) int { return byLevel(a.Level, b.Level) })
	if t.Parked > 0 && t.Draining > 0 {
		seconds := float64(t.Parked) / t.Draining
		t.DrainSeconds = &seconds
	}
	at := make(map[string]int)
	for _, of := range p.value.Targets {
		name := c.cfg.DefaultTarget
		if of.Target != nil {
			name = *of.Target
		}
		oldest := of.Oldest
		i, ok := at[name]
		if !ok {
			i = len(t.Targets)
			at[name] = i
			t.Targets = append(t.Targets, Target{Target: name, State: unavailable, Oldest: &oldest})
		}
		t.Targets[i].Parked += of.Records
		if oldest.Before(*t.Targets[i].Oldest) {
			t.Targets[i].Oldest = &oldest
		}
	}
	for _, of := range v.Paused {
		if of.Target == "" {
			continue
		}
		i, ok := at[of.Target]
		if !ok {
			i = len(t.Targets)
			t.Targets = append(t.Targets, Target{Target: of.Target})
		}
		since := of.Since.UTC()
		t.Targets[i].State, t.Targets[i].Since, t.Targets[i].Reason = paused, &since, of.Reason
	}
	return t
}

func (c *Console) instances(a answer[view]) Instances {
	s := a.value.Status
	out := Instances{Seen: c.seen(a.at, a.err), Clock: s.Clock, ClockText: clockText(s.Clock), Instances: []Instance{}, Unheld: []Share{}, Unknown: []string{}}
	at := make(map[string]int)
	for _, t := range everyTopic(s) {
		if t.Members < 0 {
			out.Unknown = append(out.Unknown, t.Topic)
			continue
		}
		for _, h := range t.Holders {
			host, key := h.Host, h.Instance
			if name, _, err := net.SplitHostPort(host); err == nil {
				host = name
			}
			if key == "" {
				key = "\x00" + host // members without an id are told apart by where they are
			}
			i, ok := at[key]
			if !ok {
				i = len(out.Instances)
				at[key] = i
				out.Instances = append(out.Instances, Instance{Instance: h.Instance, Shares: []Share{}})
			}
			of := &out.Instances[i]
			if !slices.Contains(of.Hosts, host) {
				of.Hosts = append(of.Hosts, host)
			}
			of.Count += len(h.Partitions)
			of.Shares = append(of.Shares, Share{t.Topic, h.Partitions})
		}
		if unheld := t.Unheld(); len(unheld) > 0 {
			out.Unheld = append(out.Unheld, Share{t.Topic, unheld})
		}
	}
	slices.SortFunc(out.Instances, func(a, b Instance) int {
		return cmp.Or(cmp.Compare(a.Instance, b.Instance), slices.Compare(a.Hosts, b.Hosts))
	})
	return out
}
