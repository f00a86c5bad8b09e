package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

type sendCmd struct {
	Values []string `arg:"" optional:"" name:"value" help:"Value of a record each. None: one from each line of standard input."`
	To     string   `required:"" type:"topic" placeholder:"TOPIC" help:"The topic to deliver to."`
	Delay  string   `required:"" placeholder:"D" help:"How long to wait: 45s, 1m30s, 1d, a level number, or 0."`
	Key    *string  `placeholder:"K" help:"Key of the records (default: none)."`
	Header []string `sep:"none" placeholder:"K=V" help:"Another header; repeatable, kept in order."`
	Via    string   `type:"choice" enum:"inbox,level" default:"inbox" help:"inbox leaves the choice of the level to the service; level writes straight to its topic, which saves a hop and wants the service's --levels, --rounding and --over-max (default: ${default})."`
	clientFlags
	nameFlags
	grantFlags
	outputFlags
}

// Help is shown by kong below the flags.
func (sendCmd) Help() string {
	return fmt.Sprintf("A line of standard input ends with LF or CR LF, which is not part of the value, and has at most %d MiB. "+
		"What a Kafka cluster takes is about 1 MB for a record, unless configured.", maxLine>>20)
}

const (
	// sendTimeout bounds how long a record may take to be acknowledged.
	sendTimeout = 30 * time.Second
	// maxLine bounds a line of standard input.
	maxLine = 64 << 20
)

// sentRow is a record that the broker has acknowledged.
type sentRow struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Run sends each value and waits until all of them are acknowledged.
func (c *sendCmd) Run(ctx context.Context, con *console) error {
	headers, err := c.headers()
	if err != nil {
		return err
	}
	targets := record.Targets{Names: c.Prefix}
	if refusal := targets.Check(c.To); refusal != nil { // the service would make a dead letter of it
		return usagef("--to: %s", refusal.Detail)
	}
	send, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer send.close()

	sent := &sentRows{out: con.out, json: c.json()}
	source, values := c.values(ctx, con)
	n := 0
	for value, err := range values {
		if err != nil {
			return errors.Join(err, sent.finish())
		}
		if sent.failed() {
			break
		}
		rec := &kgo.Record{Topic: c.To, Value: []byte(value), Headers: slices.Clone(headers)}
		if c.Key != nil {
			rec.Key = []byte(*c.Key)
		}
		n++
		name := fmt.Sprintf("%s %d", source, n)
		sent.waiting.Add(1)
		send.async(ctx, rec, func(row sentRow, err error) { sent.done(name, row, err) })
	}
	return sent.finish()
}

// values are the values to send, in order, and what one of them is called.
func (c *sendCmd) values(ctx context.Context, con *console) (source string, values iter.Seq2[string, error]) {
	if len(c.Values) > 0 {
		return "value", func(yield func(string, error) bool) {
			for _, v := range c.Values {
				if !yield(v, nil) {
					return
				}
			}
		}
	}
	if isTerminal(con.in) {
		con.note("one record from each line of standard input; end with Ctrl-D")
	}
	return "line", lines(ctx, con.in, maxLine)
}

// lines are the lines of r until it or ctx ends, none of them longer than
// longest.
func lines(ctx context.Context, r io.Reader, longest int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		read := make(chan string)
		ended := make(chan error, 1)
		// Nobody can interrupt a read of standard input: where ctx ends first,
		// this goroutine lives until the process does.
		go func() {
			scanner := bufio.NewScanner(r)
			scanner.Buffer(nil, longest+len("\r\n")+1) // the last byte is never used
			n := 0
			for scanner.Scan() {
				select {
				case read <- scanner.Text():
					n++
				case <-ctx.Done():
					return
				}
			}
			err := scanner.Err()
			if errors.Is(err, bufio.ErrTooLong) {
				err = fmt.Errorf("line %d has more than %d bytes, the most that a line may have", n+1, longest)
			}
			ended <- err
		}()
		for {
			select {
			case line := <-read:
				if !yield(line, nil) {
					return
				}
			case err := <-ended:
				if err != nil {
					yield("", fmt.Errorf("read standard input: %w", err))
				}
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// headers reads K=V words. A value may hold another "=".
func (c *sendCmd) headers() ([]kgo.RecordHeader, error) {
	var headers []kgo.RecordHeader
	for _, w := range c.Header {
		key, value, ok := strings.Cut(w, "=")
		if !ok || key == "" {
			return nil, usagef("--header %q: write key=value, as in --header source=shop", w)
		}
		switch {
		case key == levels.HeaderLevel && value != c.Delay:
			return nil, usagef("--header %q: --delay %s asks for another delay; leave the header out, --delay sets it", w, c.Delay)
		case key == levels.HeaderTarget && value != c.To:
			return nil, usagef("--header %q: --to %s names another topic; leave the header out, --to sets it", w, c.To)
		}
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	return headers, nil
}

// destination is the topic that is written to and the delay to ask of it.
func (c *sendCmd) destination() (topic string, delay time.Duration, err error) {
	request, err := levels.ParseRequest(c.Delay)
	if err != nil {
		return "", 0, usagef("--delay: %s", strings.TrimPrefix(err.Error(), levels.HeaderLevel+" "))
	}
	if c.Via == "inbox" {
		return c.Prefix.Inbox(), 0, nil
	}
	level, over := c.Levels.Grant(request, c.Rounding)
	if d := c.decide(c.Prefix, c.Delay); d.Kind == router.Dead && d.Refusal.Code == levels.OverMax && !request.ByNumber {
		return "", 0, usagef("--delay: %s", strings.TrimPrefix(d.Refusal.Detail, levels.HeaderLevel+" "))
	}
	switch {
	case over && request.ByNumber:
		return "", 0, usagef("--delay %s: the ladder has %s; name one of them, or a duration", c.Delay, plural(c.Levels.Len(), "level"))
	case request.ByNumber:
		delay = level.Delay
	default:
		delay = request.Delay
	}
	if level.Number == 0 {
		return c.To, delay, nil
	}
	return c.Prefix.Level(level), delay, nil
}

// missing is the error for a topic that nobody has made yet.
func (c *sendCmd) missing(topic string) error {
	if !c.Prefix.Owns(topic) {
		return fmt.Errorf("topic %s does not exist on %s; create it first", topic, c.clientFlags)
	}
	return fmt.Errorf("topic %s does not exist on %s; start \"delayd serve\", or run \"delayd admin provision\", with the same --prefix and --levels",
		topic, c.clientFlags)
}

// sender puts records for their target on their way.
type sender struct {
	async func(context.Context, *kgo.Record, func(sentRow, error))
	close func()
}

// open returns a sender once the topic that it writes to is known to be there.
func (c *sendCmd) open(ctx context.Context) (*sender, error) {
	topic, delay, err := c.destination()
	if err != nil {
		return nil, err
	}
	cl, err := c.connectTo(zerolog.Nop(), kgo.RecordDeliveryTimeout(sendTimeout))
	if err != nil {
		return nil, err
	}
	if _, exists, err := c.lookUp(ctx, cl, topic); err != nil || !exists {
		cl.Close()
		return nil, cmp.Or(err, c.missing(topic))
	}
	if c.Via == "inbox" {
		return &sender{async: inboxSend(cl, topic, c.Delay), close: cl.Close}, nil
	}
	cl.Close()
	return c.openProducer(delay)
}

// openProducer returns a sender that writes to the level topics.
func (c *sendCmd) openProducer(delay time.Duration) (*sender, error) {
	policy := router.Policy{Ladder: c.Levels, Names: c.Prefix, Rounding: c.Rounding, OverMax: router.OverMaxClamp} // destination refuses
	opts, err := c.options(zerolog.Nop(), kgo.RecordDeliveryTimeout(sendTimeout))
	if err != nil {
		return nil, err
	}
	producer, err := router.NewProducer(router.ProducerConfig{Policy: policy}, opts...)
	if err != nil {
		return nil, err
	}
	return &sender{
		async: func(ctx context.Context, rec *kgo.Record, done func(sentRow, error)) {
			producer.SendAsync(ctx, rec, delay, func(r router.Receipt, err error) { done(sentRow{r.Topic, r.Partition, r.Offset}, err) })
		},
		close: func() { producer.Close(context.Background()) }, // all has been answered: nothing to wait for
	}, nil
}

// inboxSend leaves everything to the router.
func inboxSend(cl *kgo.Client, inbox, delay string) func(context.Context, *kgo.Record, func(sentRow, error)) {
	return func(ctx context.Context, rec *kgo.Record, done func(sentRow, error)) {
		rec.Headers = append(rec.Headers, inboxHeaders(delay, rec.Topic)...)
		rec.Topic = inbox
		cl.Produce(ctx, rec, func(rec *kgo.Record, err error) {
			if err != nil {
				err = fmt.Errorf("send to %s: %w", inbox, connect.GrantWrite(err, inbox))
			}
			done(sentRow{rec.Topic, rec.Partition, rec.Offset}, err)
		})
	}
}

// inboxHeaders are what a record on the inbox asks for.
func inboxHeaders(delay, target string) []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: levels.HeaderLevel, Value: []byte(delay)},
		{Key: levels.HeaderTarget, Value: []byte(target)},
		{Key: levels.HeaderSent, Value: strconv.AppendInt(nil, time.Now().UnixMilli(), 10)},
	}
}

// sentRows prints what has been acknowledged, or at the end how many.
type sentRows struct {
	out     io.Writer
	json    bool
	waiting sync.WaitGroup

	mu    sync.Mutex
	count int   // guarded by mu
	err   error // the first one, guarded by mu
}

// done is called for each record, by the client's goroutine. name is what the
// record is called on the way in.
func (s *sentRows) done(name string, row sentRow, err error) {
	defer s.waiting.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.err = cmp.Or(s.err, fmt.Errorf("%s: %w", name, err))
		return
	case s.json:
		s.err = cmp.Or(s.err, printJSON(s.out, row))
	}
	s.count++
}

func (s *sentRows) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// finish waits for the last answer and says how many records were sent.
func (s *sentRows) finish() error {
	s.waiting.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return fmt.Errorf("%w (%s acknowledged)", s.err, plural(s.count, "record"))
	}
	if !s.json {
		fmt.Fprintf(s.out, "sent %s\n", plural(s.count, "record"))
	}
	return nil
}
