package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/internal/printable"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

const (
	// actTimeout bounds a pause or a resume, previewTimeout the reading of all letters that
	// a preview is about.
	actTimeout     = 15 * time.Second
	previewTimeout = 25 * time.Second
	// maxReason is how long the reason of a pause may be.
	maxReason = 500
)

// audit writes what somebody did to the log, or what kept it from being done.
func (c *Console) audit(req *http.Request, v viewer, action, what string, err error) {
	line := c.cfg.Log.Info()
	if err != nil {
		line = c.cfg.Log.Warn().Err(err)
	}
	line = line.Str("action", action).Str("what", what).Str("by", v.Name).Str("from", req.RemoteAddr)
	if via := req.Header.Get("X-Forwarded-For"); via != "" {
		line = line.Str("forwarded_for", printable.Text(via))
	}
	if err != nil {
		line.Msg("console action failed")
		return
	}
	line.Msg("console action")
}

// switched is what is paused or resumed.
func (c *Console) switched(level, target, reason string) (admin.Paused, error) {
	switch {
	case (level == "") == (target == ""):
		return admin.Paused{}, badRequest(errors.New("name a level or a target, one of the two"))
	case len(reason) > maxReason:
		return admin.Paused{}, badRequest(fmt.Errorf("the reason has %d bytes; write %d or fewer", len(reason), maxReason))
	case target != "":
		if err := levels.CheckTopic(target); err != nil {
			return admin.Paused{}, badRequest(err)
		}
		p := admin.TargetOf(target)
		p.Reason = reason
		return p, nil
	}
	delay, err := levels.ParseDelay(level)
	if err != nil {
		return admin.Paused{}, badRequest(err)
	}
	p := admin.LevelOf(delay)
	p.Reason = reason
	return p, nil
}

// doSwitch pauses or resumes, and writes that to the log.
func (c *Console) doSwitch(req *http.Request, v viewer, action string, p admin.Paused) error {
	to, err := c.cluster()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(req.Context(), actTimeout)
	defer cancel()
	do := admin.Pause
	if action == "resume" {
		do = admin.Resume
	}
	err = do(ctx, to.cl, to.names, p)
	c.audit(req, v, action, p.String(), err)
	to.forget()
	return err
}

// switchAPI is POST /api/v1/pause and /resume.
func (c *Console) switchAPI(action string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		v := c.viewer(req)
		if status, why := c.mayAct(req, v); status != 0 {
			writeJSON(w, status, problem{why})
			return
		}
		var in struct{ Level, Target, Reason string }
		if err := decode(req, &in); err != nil {
			writeJSON(w, http.StatusBadRequest, problem{err.Error()})
			return
		}
		p, err := c.switched(in.Level, in.Target, in.Reason)
		if err == nil {
			err = c.doSwitch(req, v, action, p)
		}
		if err != nil {
			writeJSON(w, statusOf(err), problem{err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, struct {
			Done string `json:"done"`
		}{action + " " + p.String()})
	}
}

func decode(req *http.Request, to any) error {
	dec := json.NewDecoder(req.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return fmt.Errorf("the body is not the JSON that is wanted: %w", err)
	}
	return nil
}

// Preview is what a resend would do.
type Preview struct {
	// Until bounds the letters: later ones are not part of it.
	Until time.Time `json:"until"`
	// Outcomes counts the letters by what would become of them.
	Outcomes map[deadletter.Outcome]int `json:"outcomes"`
	// Send is how many would be sent.
	Send int `json:"send"`
	// Examples are the first of them that would be left alone, and why.
	Examples []deadletter.Resent `json:"examples"`
}

// maxExamples is how many letters a preview shows.
const maxExamples = 20

// previewRead is how many records the preview of a resend reads at most: the dead letters,
// or the part of them that is asked for by offset, and what was sent again.
const previewRead = 200_000

// previewResend counts what a resend would do. It reads every dead letter, and refuses
// that where there are too many.
func (c *Console) previewResend(ctx context.Context, to *cluster, r deadletter.ResendOptions) (Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	if r.Filter.Until.IsZero() {
		r.Filter.Until = time.Now().UTC().Truncate(time.Second)
	}
	r.DryRun, r.MaxRead = true, previewRead
	p := Preview{Until: r.Filter.Until, Outcomes: map[deadletter.Outcome]int{}, Examples: []deadletter.Resent{}}
	err := to.reading.do(ctx, func() error {
		return deadletter.Resend(ctx, to.cl, to.names, r, func(out deadletter.Resent) error {
			p.Outcomes[out.Outcome]++
			if out.Outcome != deadletter.OutcomeSent && len(p.Examples) < maxExamples {
				out.Letter = withoutContents(out.Letter)
				p.Examples = append(p.Examples, out)
			}
			return nil
		})
	})
	if many := new(deadletter.TooManyError); errors.As(err, &many) {
		err = httpError{http.StatusConflict, fmt.Errorf("%w: too many for a preview here; use \"delayd admin dead resend\", or delete old letters first", err)}
	}
	p.Send = p.Outcomes[deadletter.OutcomeSent]
	return p, err
}

// Job is a resend that was started here.
type Job struct {
	What    string     `json:"what"`
	By      string     `json:"by"`
	Started time.Time  `json:"started"`
	Ended   *time.Time `json:"ended"` // nil while it runs
	Error   string     `json:"error,omitempty"`
	// Outcomes counts the letters by what has become of them.
	Outcomes map[deadletter.Outcome]int `json:"outcomes"`
	Sent     int                        `json:"sent"`
}

// jobs holds the resend that was started last. There is one at a time.
type jobs struct {
	sync.Mutex
	last *Job
}

// get is a copy of the job, nil where there was none.
func (j *jobs) get() *Job {
	j.Lock()
	defer j.Unlock()
	if j.last == nil {
		return nil
	}
	job := *j.last
	job.Outcomes = make(map[deadletter.Outcome]int, len(j.last.Outcomes))
	for k, n := range j.last.Outcomes {
		job.Outcomes[k] = n
	}
	job.Sent = job.Outcomes[deadletter.OutcomeSent]
	return &job
}

// begin notes a job; false where another one runs.
func (j *jobs) begin(what, by string) bool {
	j.Lock()
	defer j.Unlock()
	if j.last != nil && j.last.Ended == nil {
		return false
	}
	j.last = &Job{What: what, By: by, Started: time.Now().UTC(), Outcomes: map[deadletter.Outcome]int{}}
	return true
}

func (j *jobs) count(of deadletter.Outcome) {
	j.Lock()
	defer j.Unlock()
	j.last.Outcomes[of]++
}

func (j *jobs) end(err error) {
	j.Lock()
	defer j.Unlock()
	now := time.Now().UTC()
	j.last.Ended = &now
	if err != nil {
		j.last.Error = err.Error()
	}
}

// startResend sends letters again in the background: it may take longer than a browser
// waits.
func (c *Console) startResend(req *http.Request, v viewer, to *cluster, r deadletter.ResendOptions, what string) error {
	if !to.jobs.begin(what, v.Name) {
		return httpError{http.StatusConflict, errors.New("dead letters are being sent again already; wait for that to end")}
	}
	c.audit(req, v, "resend", what, nil)
	to.background(func(ctx context.Context) {
		err := deadletter.Resend(ctx, to.cl, to.names, r, func(out deadletter.Resent) error {
			to.jobs.count(out.Outcome)
			return nil
		})
		if missing := new(deadletter.MissingError); errors.As(err, &missing) {
			err = nil // deleted meanwhile
		}
		to.jobs.end(err)
		to.forget()
		job := to.jobs.get()
		c.cfg.Log.Info().Err(err).Str("action", "resend").Str("what", what).Str("by", v.Name).Int("sent", job.Sent).Msg("console action ended")
	})
	return nil
}

// background runs what may take long, until it is done or the console closes.
func (to *cluster) background(do func(context.Context)) {
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.over {
		go do(to.ctx)
		return
	}
	to.wg.Add(1)
	go func() {
		defer to.wg.Done()
		do(to.ctx)
	}()
}

// resendOf reads what is to be sent again: the letters of letterQuery, to and level.
func (c *Console) resendOf(q url.Values, names levels.Names) (deadletter.ResendOptions, error) {
	f, err := letterQuery(q)
	if err != nil {
		return deadletter.ResendOptions{}, err
	}
	r := deadletter.ResendOptions{Filter: f, Target: q.Get("to"), Level: q.Get("level"), Again: q.Get("again") == "true"}
	if r.Target != "" {
		targets := record.Targets{Names: names}
		if refusal := targets.Check(r.Target); refusal != nil {
			return r, badRequest(errors.New(refusal.Detail))
		}
	}
	if r.Level != "" {
		if _, err := levels.ParseRequest(r.Level); err != nil {
			return r, badRequest(err)
		}
	}
	return r, nil
}

// describe says in words which letters a resend is about, and how they are sent.
func describe(q url.Values) string {
	parts := []string{"all dead letters"}
	if len(pick(q, "code", "target", "since", "offset")) > 0 {
		parts[0] = "dead letters"
	}
	for _, of := range []struct{ name, say string }{
		{"code", "of code "}, {"target", "for target "}, {"offset", "at offset "}, {"since", "since "}, {"until", "that died before "},
		{"to", "sent to "}, {"level", "with delay "},
	} {
		if values := pick(q, of.name)[of.name]; len(values) > 0 {
			parts = append(parts, of.say+printable.Text(strings.Join(values, ", ")))
		}
	}
	if q.Get("again") == "true" {
		parts = append(parts, "also those that were sent before")
	}
	return strings.Join(parts, ", ")
}

// confirmed checks that the number of letters is the one that was shown.
func confirmed(word string, p Preview) error {
	n, err := strconv.Atoi(word)
	switch {
	case err != nil:
		return badRequest(errors.New("confirm with the number of letters that the preview says"))
	case n != p.Send:
		return httpError{http.StatusConflict, fmt.Errorf("the number %d is confirmed, and %d would be sent; look at the preview again", n, p.Send)}
	case n == 0:
		return badRequest(errors.New("there is nothing to send"))
	}
	return nil
}

// resendAPI is POST /api/v1/resend: a preview without "confirm", and with the number of
// letters there the resend itself.
func (c *Console) resendAPI(w http.ResponseWriter, req *http.Request) {
	v := c.viewer(req)
	if status, why := c.mayAct(req, v); status != 0 {
		writeJSON(w, status, problem{why})
		return
	}
	var in struct {
		Code                            []string
		Target, Since, Until, To, Level string
		Offset                          []int64
		Again                           bool
		Confirm                         *int
	}
	if err := decode(req, &in); err != nil {
		writeJSON(w, http.StatusBadRequest, problem{err.Error()})
		return
	}
	q := url.Values{"code": in.Code, "target": {in.Target}, "since": {in.Since}, "until": {in.Until}, "to": {in.To}, "level": {in.Level}}
	for _, n := range in.Offset {
		q.Add("offset", strconv.FormatInt(n, 10))
	}
	if in.Again {
		q.Set("again", "true")
	}
	confirm := ""
	if in.Confirm != nil {
		confirm = strconv.Itoa(*in.Confirm)
	}
	p, err := c.resend(req, v, q, confirm)
	if err != nil {
		writeJSON(w, statusOf(err), problem{err.Error()})
		return
	}
	status := http.StatusOK
	if confirm != "" {
		status = http.StatusAccepted
	}
	writeJSON(w, status, p)
}

// resend previews a resend, and starts it where that is confirmed.
func (c *Console) resend(req *http.Request, v viewer, q url.Values, confirm string) (Preview, error) {
	to, err := c.cluster()
	if err != nil {
		return Preview{}, err
	}
	r, err := c.resendOf(q, to.names)
	if err != nil {
		return Preview{}, err
	}
	p, err := c.previewResend(req.Context(), to, r)
	if missing := new(deadletter.MissingError); errors.As(err, &missing) {
		err = httpError{http.StatusNotFound, err}
	}
	if err != nil || confirm == "" {
		return p, err
	}
	if err := confirmed(confirm, p); err != nil {
		return p, err
	}
	r.Filter.Until = p.Until
	return p, c.startResend(req, v, to, r, describe(q))
}

func (c *Console) getJob(*http.Request) (*Job, error) {
	to, err := c.cluster()
	if err != nil {
		return nil, err
	}
	job := to.jobs.get()
	if job == nil {
		return nil, httpError{http.StatusNotFound, errors.New("nothing was sent again since this instance started")}
	}
	return job, nil
}
