package console

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/internal/find"
	"github.com/delayd-io/delayd/internal/printable"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

//go:embed assets
var assets embed.FS

//go:embed templates
var templateFiles embed.FS

//go:embed openapi.yaml
var openAPI []byte

// stamp is in the addresses of the assets, which browsers keep until it changes.
var stamp = func() string {
	sum := sha256.New()
	for _, name := range []string{"app.css", "app.js", "uplot.css", "uplot.js"} {
		body, err := assets.ReadFile("assets/" + name)
		if err != nil {
			panic(err)
		}
		sum.Write(body)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}()

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"number":    func(n int64) string { return number(n) },
	"number64":  func(n uint64) string { return number(n) },
	"count":     func(n int) string { return number(n) },
	"records":   records,
	"perSecond": perSecond,
	"seconds":   seconds,
	"span":      span,
	"ranges":    printable.Ranges,
	"add":       func(a, b int) int { return a + b },
	"someOf":    someOf,
	"someShares": func(list []Share) string {
		var words []string
		for _, s := range list {
			words = append(words, s.Topic+" "+printable.Ranges(s.Partitions))
		}
		return someOf(words)
	},
	"glance":     glance,
	"text":       text,
	"indented":   indented,
	"dump":       dump,
	"cut":        cut,
	"safe":       printable.Text,
	"clock":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"stamp":      func() string { return stamp },
	"partitions": func(of find.Searched) string { return printable.Ranges(of.Partitions) },
	"iso":        func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
}).ParseFS(templateFiles, "templates/*.html"))

// tab is a page in the navigation.
type tab struct{ Path, Name string }

var tabs = []tab{
	{"./", "Levels"}, {"due", "The coming hour"}, {"targets", "Targets"}, {"deadletters", "Dead letters"}, {"find", "Find"}, {"instances", "Instances"}, {"drift", "Drift"},
}

// content is what one page shows.
type content struct {
	Title    string
	Tab      string // its path in tabs; "" is none
	Template string
	Live     bool // whether it is loaded again and again
	Seen     Seen
	Body     any
}

// frame is everything that a template gets.
type frame struct {
	content
	Prefix, Instance, Version string
	Tabs                      []tab
	Viewer                    viewer
	CanSign                   bool // whether there is a token
	Here                      string
	Alerts                    []Alert
	Overview                  *Levels // nil where there is none yet
	// Pending, OverdueCount and Hour add up the levels; Late says that some are late
	// enough for an alert.
	Pending, OverdueCount, Hour int64
	Late                        bool
	Problem                     string
}

// page shows a page, or why it can't be.
func (c *Console) page(make func(*http.Request, viewer) (content, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		v := c.viewer(req)
		body, err := make(req, v)
		c.show(w, req, v, body, err)
	}
}

func (c *Console) show(w http.ResponseWriter, req *http.Request, v viewer, body content, err error) {
	f := frame{
		content: body, Prefix: c.cfg.Prefix, Instance: c.cfg.Instance, Version: c.cfg.Version, Tabs: tabs, Viewer: v,
		CanSign: c.session.token != "", Here: here(req),
	}
	status := http.StatusOK
	if err != nil {
		status, f.Problem = statusOf(err), err.Error()
		f.Template = "problem"
		if f.Title == "" {
			f.Title = "Not available"
		}
	}
	if _, a, err := c.now(req); err == nil {
		l := c.levels(a)
		f.Overview, f.Alerts = &l, l.Alerts
		for _, t := range l.Status.Levels {
			f.Pending, f.OverdueCount = f.Pending+t.Pending, f.OverdueCount+t.Overdue
			if t.DueWithin != nil {
				f.Hour += t.DueWithin.Hour
			}
			f.Late = f.Late || l.row(t).Late
		}
	} else if f.Problem == "" {
		f.Problem = err.Error()
	}
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, "layout", f); err != nil {
		c.cfg.Log.Error().Err(err).Str("page", body.Template).Msg("console page cannot be rendered")
		http.Error(w, "the page cannot be rendered; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(out.Bytes())
}

// here is the address of a page, relative to the others.
func here(req *http.Request) string {
	path := strings.TrimPrefix(req.URL.Path, "/console/")
	if path == "" {
		path = "./"
	}
	if req.URL.RawQuery != "" {
		path += "?" + req.URL.RawQuery
	}
	return path
}

// levelRow is a topic in the table of levels.
type levelRow struct {
	admin.TopicStatus
	Name   string
	In     float64
	Out    float64
	Paused bool
	Late   bool
	// When says when the first record is due, and Status what there is to know.
	When, Note string
}

func (c *Console) levelsPage(req *http.Request, _ viewer) (content, error) {
	page := content{Title: "Levels", Tab: "./", Template: "levels", Live: true}
	l, err := c.getLevels(req)
	if err != nil {
		return page, err
	}
	page.Seen = l.Seen
	body := struct {
		Rows  []levelRow
		Quiet int // levels that are left out, as there is nothing to say of them
		All   bool
		// Cancels are the cancels and replacements that are outstanding, of CancelsMax at most; 0: not
		// known.
		Cancels, CancelsMax int64
	}{All: req.URL.Query().Get("all") == "true", Cancels: l.Status.CancelsPending, CancelsMax: l.Status.CancelsMax}
	for _, t := range everyTopic(l.Status) {
		r := l.row(t)
		if t.Level != "" && t.Pending == 0 && r.Note == "" && r.In == 0 && r.Out == 0 && !body.All {
			body.Quiet++
			continue
		}
		body.Rows = append(body.Rows, r)
	}
	page.Body = body
	return page, nil
}

// row is a topic as the table shows it.
func (l Levels) row(t admin.TopicStatus) levelRow {
	rate := l.Rates[t.Topic]
	r := levelRow{TopicStatus: t, Name: strings.TrimPrefix(nameOf(l.Status, t), "Level "), In: rate.In, Out: rate.Out}
	var notes []string
	for _, p := range l.Paused {
		if p.Level != "" && p.Level == t.Level {
			r.Paused = true
		}
	}
	by, late := t.Late(l.Status.At)
	r.Late = late && by > lateEnough && !r.Paused && t.Topic != l.Status.Parked.Topic
	switch {
	case t.Level != "" && t.NextDue != nil && t.NextDue.After(l.Status.At):
		r.When = "in " + span(t.NextDue.Sub(l.Status.At))
	case t.Level != "" && late && by > 0:
		r.When = span(by) + " late"
	case t.Oldest != nil:
		r.When = "oldest " + span(l.Status.At.Sub(*t.Oldest))
	}
	switch {
	case t.Partitions == 0 && t.Retired:
		notes = append(notes, "gone")
	case t.Partitions == 0:
		notes = append(notes, "no topic")
	case t.Members == 0:
		notes = append(notes, "nobody handles it")
	case t.Members > 0 && len(t.Unheld()) > 0:
		notes = append(notes, fmt.Sprintf("%d partitions unheld", len(t.Unheld())))
	}
	if r.Paused {
		notes = append(notes, "paused")
	}
	if t.Retired {
		notes = append(notes, "retired, drains")
	}
	if t.Held > 0 {
		notes = append(notes, number(t.Held)+" held by a transaction")
	}
	r.Note = strings.Join(notes, "; ")
	return r
}

// dueRow is a minute of the coming hour.
type dueRow struct {
	Begins time.Time
	Total  int64
	// Parts are the levels with the most records, and Rest the others, in their order.
	Parts   string
	Rest    []string
	Release string
}

// dueParts is how many levels of a minute are shown at first.
const dueParts = 8

// split tells the levels with the most records in minute k from the rest.
func (r *dueRow) split(list []admin.ComingLevel, k int) {
	list = slices.DeleteFunc(slices.Clone(list), func(l admin.ComingLevel) bool { return l.Records[k] == 0 })
	most := slices.Clone(list)
	slices.SortStableFunc(most, func(a, b admin.ComingLevel) int { return cmp.Compare(b.Records[k], a.Records[k]) })
	most = most[:min(dueParts, len(most))]
	var parts []string
	for _, l := range list {
		word := l.Level + ": " + number(l.Records[k])
		if slices.ContainsFunc(most, func(of admin.ComingLevel) bool { return of.Level == l.Level }) {
			parts = append(parts, word)
		} else {
			r.Rest = append(r.Rest, word)
		}
	}
	r.Parts = strings.Join(parts, ", ")
}

func (c *Console) duePage(req *http.Request, _ viewer) (content, error) {
	page := content{Title: "The coming hour", Tab: "due", Template: "due", Live: true}
	d, err := c.getDue(req)
	if err != nil {
		return page, err
	}
	page.Seen = d.Seen
	var rows []dueRow
	all := int64(0)
	for k, n := range d.Total {
		all += n
		r := dueRow{Begins: d.From.Add(time.Duration(k) * time.Minute), Total: n, Release: release(n, d.Peak)}
		r.split(d.Coming.Levels, k)
		rows = append(rows, r)
	}
	page.Body = struct {
		Due
		Rows    []dueRow
		All     int64
		Minutes int
	}{d, rows, all, admin.ComingMinutes}
	return page, nil
}

// leastPeak is from which rate on the highest one seen says how long a release takes.
const leastPeak = 1000

// release says how long the release of n records takes at the highest rate that was seen
// here, "" where that says nothing.
func release(n int64, peak admin.Peak) string {
	if peak.PerSecond < leastPeak || n == 0 {
		return ""
	}
	return "about " + span(time.Duration(float64(n)/peak.PerSecond*float64(time.Second)))
}

func (c *Console) targetsPage(req *http.Request, _ viewer) (content, error) {
	page := content{Title: "Targets", Tab: "targets", Template: "targets", Live: true}
	t, err := c.getTargets(req)
	if err != nil {
		return page, err
	}
	page.Seen = t.Seen
	busy := t.Lateness[:0:0]
	for _, l := range t.Lateness {
		if l.Delivered > 0 {
			busy = append(busy, l)
		}
	}
	drain := ""
	if t.DrainSeconds != nil {
		drain = span(time.Duration(*t.DrainSeconds * float64(time.Second)))
	}
	q := pick(req.URL.Query(), "name", "state", "limit")
	at := func(skip int) string {
		to := maps.Clone(q)
		if skip > 0 {
			to.Set("skip", strconv.Itoa(skip))
		}
		return "targets?" + to.Encode()
	}
	body := struct {
		Targets
		Busy                   []Lateness
		Drain                  string
		Now                    time.Time
		Name, State            string
		States                 []string
		Filtered               bool
		Last                   int    // the number of the last target shown
		PreviousPage, NextPage string // "" for none
	}{Targets: t, Busy: busy, Drain: drain, Now: t.At, Name: q.Get("name"), State: q.Get("state"), States: []string{unavailable, paused},
		Filtered: q.Has("name") || q.Has("state"), Last: t.Skipped + len(t.Targets)}
	limit, _ := parseLimit(q.Get("limit")) // getTargets has refused a wrong one
	if t.Skipped > 0 {
		body.PreviousPage = at(max(0, t.Skipped-cmp.Or(limit, pageTargets)))
	}
	if body.Last < t.Matching {
		body.NextPage = at(body.Last)
	}
	page.Body = body
	return page, nil
}

func (c *Console) lettersPage(req *http.Request, v viewer) (content, error) {
	q := req.URL.Query()
	page := content{Title: "Dead letters", Tab: "deadletters", Template: "deadletters", Live: q.Get("before") == ""}
	l, err := c.getLetters(req)
	if err != nil {
		return page, err
	}
	page.Seen = l.Seen
	filter := pick(q, "code", "target")
	next := url.Values{}
	for k, vs := range filter {
		next[k] = vs
	}
	next.Set("before", l.Next)
	page.Body = struct {
		Letters
		Codes             []levels.Code
		Code, Target      string
		Filtered          bool
		Filter, OlderPage string
		First             bool
	}{l, levels.Codes(), q.Get("code"), q.Get("target"), len(filter) > 0, filter.Encode(), next.Encode(), q.Get("before") == ""}
	return page, nil
}

func (c *Console) recordPage(req *http.Request, v viewer) (content, error) {
	page := content{Title: "Record", Tab: "deadletters", Template: "record"}
	if !v.Contents {
		page.Title, page.Template = "Record", "hidden"
		return page, nil
	}
	r, err := c.getRecord(req)
	if err != nil {
		return page, err
	}
	page.Body = struct {
		*deadletter.Contents
		Place, ID string
	}{r, admin.Place{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}.String(), idOf(r)}
	return page, nil
}

// idOf returns the delay-id of a record as far as its headers say it, "" where they do not.
func idOf(r *deadletter.Contents) (id string) {
	for _, h := range r.Headers {
		if h.Value != nil && h.Value.Data == nil && len(h.Value.Text) == h.Value.Bytes {
			switch {
			case h.Key == levels.HeaderID:
				return h.Value.Text
			case h.Key == record.KeyID:
				id = h.Value.Text
			}
		}
	}
	return id
}

// levelPage is the records of a level that are due next.
func (c *Console) levelPage(req *http.Request, v viewer) (content, error) {
	page := content{Title: "Next on level " + printable.Text(req.URL.Query().Get("level")), Tab: "./", Template: "level"}
	if !v.Contents {
		page.Template = "hidden"
		return page, nil
	}
	next, err := c.getNext(req)
	page.Body = next
	return page, err
}

func (c *Console) instancesPage(req *http.Request, _ viewer) (content, error) {
	page := content{Title: "Instances and clocks", Tab: "instances", Template: "instances", Live: true}
	i, err := c.getInstances(req)
	page.Seen, page.Body = i.Seen, struct {
		Instances
		Here string
	}{i, c.cfg.Instance}
	return page, err
}

func (c *Console) driftPage(req *http.Request, _ viewer) (content, error) {
	page := content{Title: "Drift", Tab: "drift", Template: "drift", Live: true}
	d, err := c.getDrift(req)
	if err != nil {
		return page, err
	}
	page.Seen = d.Seen
	var todo admin.Steps
	kept := 0
	for _, s := range d.Steps {
		if s.Action == admin.ActionNone && len(s.Drifts) == 0 && s.Note == "" && s.Err == nil {
			kept++
			continue
		}
		todo = append(todo, s)
	}
	page.Body = struct {
		Todo admin.Steps
		Kept int
	}{todo, kept}
	return page, nil
}

func (c *Console) loginPage(req *http.Request, _ viewer) (content, error) {
	return c.loginForm(req, ""), nil
}

func (c *Console) loginForm(req *http.Request, wrong string) content {
	return content{Title: "Sign in", Template: "login", Body: struct{ Back, Wrong string }{back(req.FormValue("back")), wrong}}
}

// back is the page that somebody came from, if it is one of ours.
func back(s string) string {
	path, _, _ := strings.Cut(s, "?")
	for _, known := range []string{"./", "due", "targets", "deadletters", "find", "record", "level", "instances", "drift", "pause", "resume", "resend"} {
		if path == known {
			return s
		}
	}
	return "./"
}

// seeOther sends the browser to a page, by an address that a proxy's path does not
// change.
func seeOther(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

func (c *Console) login(w http.ResponseWriter, req *http.Request) {
	v := c.viewer(req)
	switch {
	case c.session.token == "":
		c.show(w, req, v, c.loginForm(req, ""), httpError{http.StatusForbidden, errors.New("this console is read-only: start delayd with --http-token-file to act here")})
		return
	case !sameOrigin(req):
		c.show(w, req, v, c.loginForm(req, ""), httpError{http.StatusForbidden, errors.New("the request does not come from a page of this console")})
		return
	case !c.session.right(strings.TrimSpace(req.PostFormValue("token"))):
		timer := time.NewTimer(wrongTokenPause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.Context().Done():
		}
		c.cfg.Log.Warn().Str("from", req.RemoteAddr).Msg("console: wrong token")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		c.showStatus(w, req, v, c.loginForm(req, "That is not the token."), http.StatusUnauthorized)
		return
	}
	name := cleanName(req.PostFormValue("name"))
	setCookie(w, req, c.session.cookie(name, time.Now()))
	c.audit(req, viewer{Name: name}, "sign in", "console", nil)
	seeOther(w, back(req.PostFormValue("back")))
}

// showStatus is show with a status of its own.
func (c *Console) showStatus(w http.ResponseWriter, req *http.Request, v viewer, body content, status int) {
	c.show(statusWriter{w, status}, req, v, body, nil)
}

// statusWriter answers with a status of its own.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w statusWriter) WriteHeader(int) { w.ResponseWriter.WriteHeader(w.status) }

func (c *Console) logout(w http.ResponseWriter, req *http.Request) {
	if sameOrigin(req) {
		setCookie(w, req, "")
	}
	seeOther(w, "./")
}

// signFirst is the page that asks somebody to sign in before they act.
func (c *Console) signFirst(req *http.Request, v viewer, title string) (content, bool) {
	if v.Signed {
		return content{}, false
	}
	return content{Title: title, Template: "sign", Body: url.Values{"back": {here(req)}}.Encode()}, true
}

// switchPage asks whether something is to be paused or resumed.
func (c *Console) switchPage(action string) func(*http.Request, viewer) (content, error) {
	return func(req *http.Request, v viewer) (content, error) {
		title := strings.ToUpper(action[:1]) + action[1:]
		if page, ask := c.signFirst(req, v, title); ask {
			return page, nil
		}
		q := req.URL.Query()
		page := content{Title: title, Template: "switch"}
		p, err := c.switched(q.Get("level"), q.Get("target"), "")
		if err != nil {
			return page, err
		}
		_, a, err := c.now(req)
		if err != nil {
			return page, err
		}
		page.Title = title + " " + p.String()
		var of *admin.TopicStatus
		for _, t := range a.value.Status.Levels {
			if p.Level != "" && t.Level == p.Level {
				of = &t
			}
		}
		already := false
		for _, other := range a.value.Paused {
			already = already || other.Level == p.Level && other.Target == p.Target
		}
		page.Body = struct {
			Action  string
			What    admin.Paused
			Level   *admin.TopicStatus
			Parked  int64
			Already bool
			Back    string
		}{action, p, of, a.value.Status.Parked.Pending, already, map[bool]string{true: "./", false: "targets"}[p.Level != ""]}
		return page, nil
	}
}

func (c *Console) switchForm(action string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		v := c.viewer(req)
		page := content{Title: strings.ToUpper(action[:1]) + action[1:]}
		if status, why := c.mayAct(req, v); status != 0 {
			c.show(w, req, v, page, httpError{status, errors.New(why)})
			return
		}
		p, err := c.switched(req.PostFormValue("level"), req.PostFormValue("target"), req.PostFormValue("reason"))
		if err == nil {
			err = c.doSwitch(req, v, action, p)
		}
		switch {
		case err != nil:
			c.show(w, req, v, page, err)
		case p.Target != "":
			seeOther(w, "targets")
		default:
			seeOther(w, "./")
		}
	}
}

// resendPage is the preview of a resend.
func (c *Console) resendPage(req *http.Request, v viewer) (content, error) {
	const title = "Send dead letters again"
	if page, ask := c.signFirst(req, v, title); ask {
		return page, nil
	}
	page := content{Title: title, Tab: "deadletters", Template: "resend"}
	q := pick(req.URL.Query(), "code", "target", "since", "until", "offset", "to", "level", "again")
	p, err := c.resend(req, v, q, "")
	if err != nil {
		return page, err
	}
	if q.Get("until") == "" {
		q.Set("until", p.Until.Format(time.RFC3339))
	}
	fields := []struct{ Name, Value string }{}
	for name, values := range q {
		for _, value := range values {
			fields = append(fields, struct{ Name, Value string }{name, value})
		}
	}
	all := 0
	for _, n := range p.Outcomes {
		all += n
	}
	page.Body = struct {
		Preview
		What      string
		Fields    []struct{ Name, Value string }
		To, Level string
		All       int
	}{p, describe(q), fields, q.Get("to"), q.Get("level"), all}
	return page, nil
}

func (c *Console) resendForm(w http.ResponseWriter, req *http.Request) {
	v := c.viewer(req)
	page := content{Title: "Send dead letters again", Tab: "deadletters"}
	status, why := c.mayAct(req, v)
	if status != 0 {
		c.show(w, req, v, page, httpError{status, errors.New(why)})
		return
	}
	_ = req.ParseForm() // what is missing is refused
	confirm := req.PostFormValue("confirm")
	if confirm == "" {
		confirm = "none"
	}
	if _, err := c.resend(req, v, pick(req.PostForm, "code", "target", "since", "until", "offset", "to", "level", "again"), confirm); err != nil {
		c.show(w, req, v, page, err)
		return
	}
	seeOther(w, "job")
}

func (c *Console) jobPage(req *http.Request, _ viewer) (content, error) {
	page := content{Title: "Sending again", Tab: "deadletters", Template: "job", Live: true}
	job, err := c.getJob(req)
	page.Body = job
	return page, err
}
