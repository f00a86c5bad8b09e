package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/levels"
)

// formBytes bounds what a request may send.
const formBytes = 64 << 10

// contentBytes is how much of a key, a value and a header is shown of one record.
const contentBytes = 64 << 10

// Register adds the console and its API to mux.
func (c *Console) Register(mux *http.ServeMux) {
	handle := func(pattern string, h http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			headers(w)
			req.Body = http.MaxBytesReader(w, req.Body, formBytes)
			h(w, req)
		})
	}
	handle("GET /console", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "console/") // relative: a proxy may have put a path in front
		w.WriteHeader(http.StatusFound)
	})
	handle("GET /console/{$}", c.page(c.levelsPage))
	handle("GET /console/due", c.page(c.duePage))
	handle("GET /console/targets", c.page(c.targetsPage))
	handle("GET /console/deadletters", c.page(c.lettersPage))
	handle("GET /console/find", c.page(c.findPage))
	handle("GET /console/record", c.page(c.recordPage))
	handle("GET /console/level", c.page(c.levelPage))
	handle("GET /console/instances", c.page(c.instancesPage))
	handle("GET /console/drift", c.page(c.driftPage))
	handle("GET /console/login", c.page(c.loginPage))
	handle("POST /console/login", c.login)
	handle("POST /console/logout", c.logout)
	for _, action := range []string{"pause", "resume"} {
		handle("GET /console/"+action, c.page(c.switchPage(action)))
		handle("POST /console/"+action, c.switchForm(action))
		handle("POST /api/v1/"+action, c.switchAPI(action))
	}
	handle("GET /console/resend", c.page(c.resendPage))
	handle("POST /console/resend", c.resendForm)
	handle("GET /console/job", c.page(c.jobPage))
	handle("GET /console/assets/{name}", serveAsset)

	handle("GET /api/v1/levels", api(func(req *http.Request) (any, error) { return c.getLevels(req) }))
	handle("GET /api/v1/due", api(func(req *http.Request) (any, error) { return c.getDue(req) }))
	handle("GET /api/v1/targets", api(func(req *http.Request) (any, error) { return c.getTargets(req) }))
	handle("GET /api/v1/deadletters", api(func(req *http.Request) (any, error) { return c.getLetters(req) }))
	handle("GET /api/v1/next", api(func(req *http.Request) (any, error) { return c.getNext(req) }))
	handle("GET /api/v1/find", api(func(req *http.Request) (any, error) { return c.getFind(req) }))
	handle("GET /api/v1/record", api(func(req *http.Request) (any, error) { return c.getRecord(req) }))
	handle("GET /api/v1/instances", api(func(req *http.Request) (any, error) { return c.getInstances(req) }))
	handle("GET /api/v1/drift", api(func(req *http.Request) (any, error) { return c.getDrift(req) }))
	handle("POST /api/v1/resend", c.resendAPI)
	handle("GET /api/v1/job", api(func(req *http.Request) (any, error) { return c.getJob(req) }))
	handle("GET /api/v1/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		w.Write(openAPI)
	})
}

// OpenAPI is the document of the API.
func OpenAPI() []byte { return slices.Clone(openAPI) }

// httpError is an error with a status of HTTP.
type httpError struct {
	status int
	error
}

func (e httpError) Unwrap() error { return e.error }

func statusOf(err error) int {
	if e, ok := errors.AsType[httpError](err); ok {
		return e.status
	}
	if errors.Is(err, admin.ErrNoRecord) {
		return http.StatusNotFound
	}
	return http.StatusServiceUnavailable
}

func badRequest(err error) error { return httpError{http.StatusBadRequest, err} }

// problem is an error as the API says it.
type problem struct {
	Error string `json:"error"`
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked is gone
}

func api(get func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		v, err := get(req)
		if err != nil {
			writeJSON(w, statusOf(err), problem{err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, v)
	}
}

// now is the shared view. It is an error only where there has never been one.
func (c *Console) now(req *http.Request) (*cluster, answer[view], error) {
	to, err := c.cluster()
	if err != nil {
		return nil, answer[view]{}, err
	}
	a := to.view.get(req.Context(), to.run)
	if a.at.IsZero() {
		return to, a, a.err
	}
	return to, a, nil
}

func (c *Console) getLevels(req *http.Request) (Levels, error) {
	_, a, err := c.now(req)
	return c.levels(a), err
}

func (c *Console) getDue(req *http.Request) (Due, error) {
	_, a, err := c.now(req)
	return c.due(a), err
}

func (c *Console) getInstances(req *http.Request) (Instances, error) {
	_, a, err := c.now(req)
	return c.instances(a), err
}

func (c *Console) getTargets(req *http.Request) (Targets, error) {
	q, err := parseTargetQuery(req.URL.Query())
	if err != nil {
		return Targets{}, err
	}
	to, a, err := c.now(req)
	if err != nil {
		return Targets{}, err
	}
	var p answer[admin.ParkedView]
	if a.value.Status.Parked.Pending > 0 {
		p = to.parked.get(req.Context(), to.run)
	}
	t := c.targets(a, p)
	t.pick(q)
	return t, nil
}

// pageTargets is how many targets a page has unless a limit is asked for.
const pageTargets = 50

// parseTargetQuery reads which targets are asked for: name, state, skip and limit.
func parseTargetQuery(q url.Values) (t targetQuery, err error) {
	t.name, t.state = strings.TrimSpace(q.Get("name")), q.Get("state")
	if t.state != "" && t.state != paused && t.state != unavailable {
		return t, badRequest(errors.New("state " + strconv.Quote(t.state) + " is neither paused nor unavailable"))
	}
	if t.limit, err = parseLimit(q.Get("limit")); err != nil {
		return t, err
	}
	t.limit = cmp.Or(t.limit, pageTargets)
	if word := q.Get("skip"); word != "" {
		if t.skip, err = strconv.Atoi(word); err != nil || t.skip < 0 {
			return t, badRequest(errors.New("skip " + strconv.Quote(word) + " is no whole number from 0 on"))
		}
	}
	return t, nil
}

// parseLimit reads how much a page has at most; 0 where that is left out.
func parseLimit(word string) (int, error) {
	if word == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > maxPage {
		return 0, badRequest(errors.New("limit " + strconv.Quote(word) + " is no number from 1 to " + strconv.Itoa(maxPage)))
	}
	return n, nil
}

func (c *Console) getDrift(req *http.Request) (Drift, error) {
	to, err := c.cluster()
	if err != nil {
		return Drift{}, err
	}
	a := to.drift.get(req.Context(), to.run)
	if a.at.IsZero() {
		return Drift{}, a.err
	}
	return Drift{Seen: c.seen(a.at, a.err), Steps: a.value}, nil
}

// Letters is a page of dead letters.
type Letters struct {
	Seen
	deadletter.Page
	// Hidden says that keys, values and headers are left out, because this viewer may not
	// see them.
	Hidden bool `json:"hidden"`
}

// letterQuery reads which letters are asked for: code, target, since and until, and
// offset.
func letterQuery(q url.Values) (f deadletter.Filter, err error) {
	for _, code := range q["code"] {
		if code == "" {
			continue
		}
		if !slices.Contains(levels.Codes(), levels.Code(code)) {
			return f, badRequest(errors.New("code " + strconv.Quote(code) + " is none of a dead letter"))
		}
		f.Codes = append(f.Codes, levels.Code(code))
	}
	f.Target = q.Get("target")
	if f.Target != "" {
		if err := levels.CheckTopic(f.Target); err != nil {
			return f, badRequest(err)
		}
	}
	if f.Since, err = moment(q.Get("since")); err != nil {
		return f, err
	}
	if f.Until, err = moment(q.Get("until")); err != nil {
		return f, err
	}
	for _, word := range q["offset"] {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < 0 {
			return f, badRequest(errors.New("offset " + strconv.Quote(word) + " is no whole number from 0 on"))
		}
		f.Offsets = append(f.Offsets, n)
	}
	return f, nil
}

func moment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, badRequest(errors.New("time " + strconv.Quote(s) + ": write it as in 2026-03-01T12:00:00Z"))
	}
	return at, nil
}

// maxPage bounds how many letters or targets a page of the API has.
const maxPage = 200

func (c *Console) getLetters(req *http.Request) (Letters, error) {
	q := req.URL.Query()
	f, err := letterQuery(q)
	if err != nil {
		return Letters{}, err
	}
	if f.Limit, err = parseLimit(q.Get("limit")); err != nil {
		return Letters{}, err
	}
	to, err := c.cluster()
	if err != nil {
		return Letters{}, err
	}
	q = pick(q, "code", "target", "since", "until", "offset", "limit", "before")
	a := to.letters(req.Context(), q.Encode(), f, q.Get("before"))
	if a.at.IsZero() {
		return Letters{}, a.err
	}
	page := Letters{Seen: c.seen(a.at, a.err), Page: a.value, Hidden: !c.viewer(req).Contents}
	if page.Hidden {
		page.Letters = make([]*deadletter.Letter, len(a.value.Letters))
		for i, l := range a.value.Letters {
			page.Letters[i] = withoutContents(l)
		}
	}
	return page, nil
}

// withoutContents is a letter as those see it who may not see what is in records. The
// detail quotes values of headers.
func withoutContents(l *deadletter.Letter) *deadletter.Letter {
	hidden := *l
	hidden.Key, hidden.Value, hidden.Headers, hidden.Detail, hidden.ID = nil, nil, nil, "", ""
	hidden.Retried = nil
	return &hidden
}

func pick(q url.Values, names ...string) url.Values {
	some := make(url.Values)
	for _, name := range names {
		for _, v := range q[name] {
			if v != "" {
				some.Add(name, v)
			}
		}
	}
	return some
}

func (c *Console) getRecord(req *http.Request) (*deadletter.Contents, error) {
	if !c.viewer(req).Contents {
		return nil, httpError{http.StatusUnauthorized, errors.New("what is in records is shown to those who have signed in")}
	}
	var at admin.Place
	if err := at.UnmarshalText([]byte(req.URL.Query().Get("at"))); err != nil {
		return nil, badRequest(errors.New("at: write topic/partition/offset, as in delay.dead/0/42"))
	}
	to, err := c.cluster()
	if err != nil {
		return nil, err
	}
	if !to.names.Owns(at.Topic) {
		return nil, badRequest(errors.New(strconv.Quote(at.Topic) + " is no topic of this delay service"))
	}
	var record *deadletter.Contents
	err = to.reading.do(req.Context(), func() (err error) {
		record, err = to.pages.Read(req.Context(), at, contentBytes)
		return err
	})
	return record, err
}

// Next is the records of a level that are due next.
type Next struct {
	Level   string           `json:"level"`
	Records []*admin.Pending `json:"records"`
}

// nextRecords is how many that are.
const nextRecords = 20

func (c *Console) getNext(req *http.Request) (Next, error) {
	if !c.viewer(req).Contents {
		return Next{}, httpError{http.StatusUnauthorized, errors.New("what is in records is shown to those who have signed in")}
	}
	delay, err := levels.ParseDelay(req.URL.Query().Get("level"))
	if err != nil {
		return Next{}, badRequest(err)
	}
	to, err := c.cluster()
	if err != nil {
		return Next{}, err
	}
	next := Next{Level: levels.FormatDelay(delay), Records: []*admin.Pending{}}
	err = to.reading.do(req.Context(), func() error {
		list, err := admin.Peek(req.Context(), to.cl, to.names, delay, nextRecords)
		next.Records = append(next.Records, list...)
		return err
	})
	return next, err
}

func serveAsset(w http.ResponseWriter, req *http.Request) {
	name := req.PathValue("name")
	body, err := assets.ReadFile("assets/" + path.Base(name))
	if err != nil {
		http.NotFound(w, req)
		return
	}
	types := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	kind := types[path.Ext(name)]
	if kind == "" {
		kind = "text/plain; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	if strings.Contains(req.URL.RawQuery, "v=") {
		w.Header().Set("Cache-Control", "max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	w.Write(body)
}
