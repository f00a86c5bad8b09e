package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/find"
	"github.com/delayd-io/delayd/internal/printable"
	"github.com/delayd-io/delayd/levels"
)

const (
	// findEvery is how long the answer to a search is good for all who ask for the same.
	findEvery = 5 * time.Second
	// findsKept is how many different answers are kept for that.
	findsKept = 8
	// findRead bounds how many records a search reads, and findTimeout how long it takes.
	findRead    = 20_000
	findTimeout = 15 * time.Second
	// findMost is how many records with one id are shown.
	findMost = 10
	// glanceBytes is how much is kept of the keys, values and headers of all but the first.
	glanceBytes = 200
)

// Found is where a record is, as `delayd admin find -o json` says it.
type Found struct {
	Seen
	find.Result
}

// findQuery reads which record is meant: id, key, around, within and target.
func findQuery(q url.Values) (f find.Query, err error) {
	f.ID, f.Target = q.Get("id"), strings.TrimSpace(q.Get("target"))
	if f.ID == "" {
		return f, badRequest(errors.New("id: write the delay-id of a record"))
	}
	if key := q.Get("key"); key != "" {
		f.Key = []byte(key)
	}
	if word := strings.TrimSpace(q.Get("around")); word != "" {
		if d, err := levels.ParseDelay(word); err == nil {
			f.Around = time.Now().Add(-d)
		} else if f.Around, err = time.Parse(time.RFC3339, word); err != nil {
			return f, badRequest(errors.New("around " + strconv.Quote(word) + ": write how long ago, as in 2h, or a time, as in 2026-03-01T12:00:00Z"))
		}
	}
	if word := q.Get("within"); word != "" {
		if f.Within, err = levels.ParseDelay(word); err != nil || f.Within == 0 {
			return f, badRequest(errors.New("within " + strconv.Quote(word) + ": write a duration above 0, as in 10m"))
		}
	}
	return f, nil
}

// find searches, for all who ask for the same.
func (to *cluster) find(ctx context.Context, key string, q find.Query, defaultTarget string) answer[*find.Result] {
	return to.finds.get(ctx, key, to.run, func() shared[*find.Result] {
		return shared[*find.Result]{every: always[*find.Result](findEvery), look: func(ctx context.Context) (r *find.Result, err error) {
			ctx, cancel := context.WithTimeout(ctx, findTimeout)
			defer cancel()
			err = to.reading.do(ctx, func() (err error) {
				cfg := find.Config{Names: to.names, Ladder: to.spec.Ladder, DefaultTarget: defaultTarget, Limit: findRead, Most: findMost, Bytes: contentBytes}
				r, err = find.Find(ctx, to.cl, cfg, q)
				return err
			})
			if err == nil {
				shorten(r)
			}
			return r, err
		}}
	})
}

// shorten cuts down all records but the first: of those a page shows a line.
func shorten(r *find.Result) {
	rest := r.Records[min(1, len(r.Records)):]
	if r.Left != nil {
		rest = append(rest[:len(rest):len(rest)], r.Left)
	}
	for _, s := range rest {
		s.Key, s.Value, s.Headers = again(s.Key), again(s.Value), []admin.Header{}
	}
}

// again is a shorter preview.
func again(p *admin.Preview) *admin.Preview {
	if p == nil {
		return nil
	}
	cut := admin.NewPreview(bytesOf(p), glanceBytes)
	if cut == nil {
		cut = new(admin.Preview)
	}
	cut.Bytes = p.Bytes
	return cut
}

func (c *Console) getFind(req *http.Request) (Found, error) {
	if !c.viewer(req).Contents {
		return Found{}, httpError{http.StatusUnauthorized, errors.New("what is in records is shown to those who have signed in")}
	}
	values := pick(req.URL.Query(), "id", "key", "around", "within", "target")
	q, err := findQuery(values)
	if err != nil {
		return Found{}, err
	}
	to, err := c.cluster()
	if err != nil {
		return Found{}, err
	}
	a := to.find(req.Context(), values.Encode(), q, c.cfg.DefaultTarget)
	if fault := new(find.FaultError); errors.As(a.err, fault) {
		return Found{}, badRequest(a.err)
	}
	if a.at.IsZero() {
		return Found{}, a.err
	}
	return Found{c.seen(a.at, a.err), *a.value}, nil
}

// findPage is the search, and what it has found.
func (c *Console) findPage(req *http.Request, v viewer) (content, error) {
	page := content{Title: "Find a record", Tab: "find", Template: "find"}
	if !v.Contents {
		page.Template = "hidden"
		return page, nil
	}
	q := req.URL.Query()
	body := struct {
		Found
		ID                           string
		Asked                        bool
		Wrong                        string // with the query
		First                        *find.Sighting
		Own                          bool // First is on a topic of the service
		Others                       []*find.Sighting
		ForKey, ForAround, ForTarget string
	}{Asked: q.Get("id") != "", ID: field(q, "id"), ForKey: field(q, "key"), ForAround: field(q, "around"), ForTarget: field(q, "target")}
	if body.Asked {
		found, err := c.getFind(req)
		if wrong := (httpError{}); errors.As(err, &wrong) && wrong.status == http.StatusBadRequest {
			body.Wrong, err = err.Error(), nil
		}
		if err != nil {
			return page, err
		}
		body.Found = found
		page.Seen = found.Seen
		if len(found.Records) > 0 {
			body.First, body.Others = found.Records[0], found.Records[1:]
			body.Own = body.First.State != find.Delivered
		}
		if body.Wrong == "" {
			page.Title = "Record " + shortened(q.Get("id"))
		}
	}
	page.Body = body
	return page, nil
}

// field is a part of the query to be written again in the form, "" where it has characters
// that are not shown as they are.
func field(q url.Values, name string) string {
	if s := q.Get(name); printable.Text(s) == s {
		return s
	}
	return ""
}

// titleRunes is how much of an id a title shows.
const titleRunes = 60

// shortened is a text for a title.
func shortened(s string) string {
	if runes := []rune(s); len(runes) > titleRunes {
		s = string(runes[:titleRunes]) + "…"
	}
	return printable.Text(s)
}
