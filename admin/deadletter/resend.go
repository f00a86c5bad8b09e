package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

const (
	// resendLetters and resendBytes bound what is sent again in one transaction.
	resendLetters = 500
	resendBytes   = 4 << 20
	// resendTimeout is after how long the brokers abort the transaction of a process
	// that was killed. Whoever reads the inbox or a level waits for it so long, so that
	// it is short, and a transaction has to end in resendPatience.
	resendTimeout  = 10 * time.Second
	resendPatience = 8 * time.Second
	// fenceTimeout is how long the coordinator may take to end what an earlier process
	// has left behind.
	fenceTimeout = 30 * time.Second
)

// ErrOvertaken says that another process has begun to send dead letters again.
var ErrOvertaken = errors.New("another process has begun to send dead letters again")

// ResendOptions says which dead letters are sent again, and how.
type ResendOptions struct {
	// Filter says which. Its limit counts those that are sent.
	Filter Filter
	// Target replaces the one that they ask for, and the partition of it; "" keeps
	// both.
	Target string
	// Level replaces what they ask for, as in the delay-level header, where "0" is at
	// once. "" lets them wait again as they did.
	Level string
	// Again sends also what was sent before, and what has died again after that.
	Again bool
	// Force sends also what would die again as it is.
	Force bool
	// DryRun says what would be done, and does nothing.
	DryRun bool
	// MaxRead is how many records may be read for it; where there are more, it is a
	// [TooManyError] before anything is sent. 0: any number.
	MaxRead int64

	atOnce int // letters in a transaction; 0: resendLetters
}

// Outcome is what became of one letter.
type Outcome string

// The outcomes. All but the first leave the letter alone.
const (
	// OutcomeSent: it was sent, or would be but for a dry run.
	OutcomeSent Outcome = "sent"
	// OutcomeAlreadySent: it was sent before, and Again is not set.
	OutcomeAlreadySent Outcome = "already-sent"
	// OutcomeFailedAgain: it is what became of one that was sent before, and Again is not set.
	// Sending it once more would go round in a circle unless something has changed.
	OutcomeFailedAgain Outcome = "failed-again"
	// OutcomeReplaced: it was sent before and has died again: the later letter is the one to
	// send.
	OutcomeReplaced Outcome = "replaced"
	// OutcomeNotADeadLetter: it has no delay-error, so that the service has not written it.
	OutcomeNotADeadLetter Outcome = "not-a-dead-letter"
	// OutcomeIncomplete: it leaves out a part of its record, because the topic of the dead
	// letters does not take it whole.
	OutcomeIncomplete Outcome = "incomplete"
	// OutcomeNoRecord: it holds a batch that could not be decoded, and no record to send.
	OutcomeNoRecord Outcome = "no-record"
	// OutcomeOriginMissing: the topic that it came in by does not exist.
	OutcomeOriginMissing Outcome = "origin-missing"
	// OutcomeWouldFail: as it is it would die again, as far as can be known from outside the
	// service, and Force is not set.
	OutcomeWouldFail Outcome = "would-fail"
)

// Resent is what became of one letter.
type Resent struct {
	*Letter
	Outcome Outcome `json:"outcome"`
	// Way is the topic that it is written to; "" where it is not.
	Way string `json:"way,omitempty"`
	// Why says why it is not sent, and what to do about it.
	Why string `json:"why,omitempty"`
}

// Resend sends dead letters again, the oldest first, and reports what became
// of each that the filter takes.
//
// They go by the way that they came: to the inbox, or to the topic of the level that
// they were read from, and from there on like every record. Only the headers that
// their death put on are taken off, so that a consumer knows them by their delay-id.
// Nothing is written to a target: that is left to the service, with all of its checks.
//
// No letter is sent again, whatever is killed when, unless Again says so. What was sent
// is recorded on a topic of its own, in the transaction that sends it: both are there,
// or neither. It is recorded there and not among the letters, whose readers would take
// it for one, and not in a group's offsets, which could not hold it. The transactional
// id is the same for all: who begins has the transaction of everyone before it ended,
// and only then reads what was sent. The earlier process can send no more, and ends with
// [ErrOvertaken].
func Resend(ctx context.Context, cl *kgo.Client, names levels.Names, r ResendOptions, report func(Resent) error) error {
	run := &resending{ResendOptions: r, cl: cl, names: names, report: report, targets: make(map[string]target)}
	spans, err := letterSpans(ctx, cl, names)
	if err != nil {
		return err // before anything is created under a prefix that is misspelt
	}
	if err := run.bound(ctx, spans); err != nil {
		return err
	}
	if !r.DryRun {
		if err := run.open(ctx); err != nil {
			return err
		}
		defer run.producer.Close()
	}
	if err := run.prepare(ctx); err != nil {
		return err
	}
	missing := new(MissingError)
	err = r.Filter.each(ctx, cl, names, func(s scan.Span, rec *kgo.Record, l *Letter) error { return run.take(ctx, s, rec, l) })
	if err != nil && !errors.As(err, &missing) {
		return err
	}
	return cmp.Or(run.send(ctx), err)
}

// TooManyError says that a resend would read more than [ResendOptions.MaxRead] records.
type TooManyError struct {
	Topic        string
	Records, Max int64
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("topic %s and what was sent again have %d records to read, more than %d", e.Topic, e.Records, e.Max)
}

// bound refuses to read more than MaxRead records. spans are those of the letters.
func (r *resending) bound(ctx context.Context, spans []scan.Span) error {
	if r.MaxRead == 0 {
		return nil
	}
	if !r.Again { // that reads all of them, to know which have died again
		spans = slices.Clone(spans)
		r.Filter.cut(spans)
	}
	sent, err := scan.Readable(ctx, r.cl, r.names.Resent())
	if err != nil {
		return err
	}
	n := int64(0)
	for _, s := range append(spans, sent...) {
		n += max(0, s.To-s.From)
	}
	if n > r.MaxRead {
		return &TooManyError{Topic: r.names.Dead(), Records: n, Max: r.MaxRead}
	}
	return nil
}

// resending is one run.
type resending struct {
	ResendOptions
	cl       *kgo.Client
	producer *kgo.Client // nil in a dry run
	names    levels.Names
	report   func(Resent) error

	sendings *sendings
	replaced map[admin.Place]admin.Place // letters that died again, and where
	limits   map[string]int32            // the topics that letters can be sent to, and how large a batch they take
	targets  map[string]target
	embedded bool

	count int // of those that were sent, or are about to be
	batch []*revived
	bytes int64
}

// revived is a letter that is about to be sent.
type revived struct {
	*Letter
	rec   *kgo.Record
	end   int64 // see Sending.DeadEnd
	times int   // see Sending.Times
}

// open makes the producer, and ends what others have begun.
func (r *resending) open(ctx context.Context) (err error) {
	if err := admin.CreateResent(ctx, r.cl, r.names); err != nil {
		return err
	}
	id := r.names.Resent()
	r.producer, err = kgo.NewClient(append(r.cl.Opts()[:len(r.cl.Opts()):len(r.cl.Opts())],
		kgo.TransactionalID(id),
		kgo.TransactionTimeout(resendTimeout),
		kgo.ProducerLinger(0),
		kgo.RecordPartitioner(record.Partitioner()),
		kgo.ProducerBatchMaxBytes(record.MaxBatchBytes), // produce keeps to the topics' limits
		kgo.ProducerBatchCompression(kgo.GzipCompression()),
	)...)
	if err != nil {
		return fmt.Errorf("send dead letters again: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	if _, _, err := r.producer.ProducerID(wait); err != nil {
		r.producer.Close()
		return fmt.Errorf("begin as transactional id %s: %w", id, grantTransactions(err, id))
	}
	return nil
}

// grantTransactions adds which right is missing.
func grantTransactions(err error, id string) error {
	if !errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return err
	}
	return connect.Grant(err, connect.Write, "transactional id "+id)
}

// prepare learns what was sent before, and which ways there are.
func (r *resending) prepare(ctx context.Context) (err error) {
	if r.sendings, err = readSendings(ctx, r.cl, r.names); err != nil {
		return err
	}
	r.replaced = make(map[admin.Place]admin.Place)
	if r.Again {
		err := eachLetter(ctx, r.cl, r.names, func(_ scan.Span, _ *kgo.Record, l *Letter) error {
			if s, ok := r.sendings.before(l); ok {
				r.replaced[s.Letter] = l.place()
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if r.embedded, err = connect.IsEmbedded(ctx, r.cl); err != nil {
		return err
	}
	_, seen, err := describe.Topics(ctx, r.cl)
	if err != nil {
		return err
	}
	r.limits = make(map[string]int32)
	var ways []string
	for name := range seen {
		if _, isLevel := r.names.LevelDelay(name); isLevel || name == r.names.Inbox() {
			r.limits[name] = describe.KafkaMaxMessage
			ways = append(ways, name)
		}
	}
	if len(ways) == 0 {
		return nil
	}
	// Where they cannot be read Kafka's own default counts.
	topics, err := describe.Configs(ctx, r.cl, kmsg.ConfigResourceTypeTopic, ways...)
	for name, d := range topics {
		if n, err := strconv.ParseInt(d.Values[describe.MaxMessage], 10, 32); err == nil && d.Err == nil && n > 0 {
			r.limits[name] = int32(n)
		}
	}
	return err
}

// take decides on one letter.
func (r *resending) take(ctx context.Context, s scan.Span, rec *kgo.Record, l *Letter) error {
	l.tell(r.sendings)
	out := Resent{Letter: l}
	out.Outcome, out.Why = r.refuse(l)
	if out.Outcome == "" {
		out.Way = r.way(l)
		if r.limits[out.Way] == 0 {
			if err := r.hidden(ctx, out.Way); err != nil {
				return err
			}
			out.Outcome = OutcomeOriginMissing
			out.Why = fmt.Sprintf("topic %s does not exist; another delay sends it through %s", out.Way, r.names.Inbox())
			out.Way = ""
		}
	}
	headers := r.headers(rec, l)
	if out.Outcome == "" && !r.Force {
		why, err := r.wouldDie(ctx, l.Code, out.Way, rec.Value, headers)
		if err != nil {
			return err
		}
		if why != "" {
			out.Outcome, out.Why, out.Way = OutcomeWouldFail, why, ""
		}
	}
	if out.Outcome != "" {
		return r.report(out)
	}
	if r.Filter.Limit > 0 && r.count == r.Filter.Limit {
		return scan.ErrEnough
	}
	r.count++
	if r.DryRun {
		out.Outcome = OutcomeSent
		return r.report(out)
	}
	return r.add(ctx, s, rec, headers, out)
}

// hidden is an error where a topic seems not to exist because we may not see it.
func (r *resending) hidden(ctx context.Context, way string) error {
	_, seen, err := describe.Topics(ctx, r.cl, way)
	if err != nil || !connect.Denied(seen[way].Err) {
		return err
	}
	return fmt.Errorf("topic %s: %w", way, connect.GrantTopic(kerr.TopicAuthorizationFailed, connect.Write, way))
}

// refuse says why a letter is not to be sent, "" for nothing.
func (r *resending) refuse(l *Letter) (Outcome, string) {
	if l.Code == "" {
		return OutcomeNotADeadLetter, "it has no " + levels.HeaderError + ": the service has not written it"
	}
	if l.LeftOut != "" {
		return OutcomeIncomplete, fmt.Sprintf("the letter leaves out %s; the whole record stood at %s: produce it again from there or from its source",
			l.LeftOut, l.Origin)
	}
	if l.Code == levels.Unreadable {
		return OutcomeNoRecord, "it holds a batch that cannot be decoded: send the records again from their source"
	}
	if _, sent := r.sendings.of(l); sent {
		if !r.Again {
			return OutcomeAlreadySent, fmt.Sprintf("it was sent to %s at %s", l.SentTo, l.SentAgain.UTC().Format(time.RFC3339))
		}
		if later, died := r.replaced[l.place()]; died {
			return OutcomeReplaced, fmt.Sprintf("it was sent before and has died again as %v: that one is to be sent", later)
		}
	}
	if l.DiedBefore != "" && !r.Again {
		return OutcomeFailedAgain, fmt.Sprintf("%s was sent again and died again as this one (%d times so far); fix the cause first", l.DiedBefore, l.Deaths)
	}
	return "", ""
}

// way is the topic that a letter came in by: the inbox, unless it was read from a
// level. With another delay it is always the inbox.
func (r *resending) way(l *Letter) string {
	if origin, ok := parsePlace(l.Origin); ok && r.Level == "" && l.Code != levels.BadRetry { // only the inbox counts retries
		if _, isLevel := r.names.LevelDelay(origin.Topic); isLevel {
			return origin.Topic
		}
	}
	return r.names.Inbox()
}

// headers are those that a letter is sent with.
func (r *resending) headers(letter *kgo.Record, l *Letter) []kgo.RecordHeader {
	headers := record.Revived(letter)
	put := func(key, value string) {
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	headers = r.retried(headers, l)
	if r.Level != "" {
		headers = record.Without(headers, levels.HeaderLevel, levels.HeaderFor, levels.HeaderUntil)
		put(levels.HeaderLevel, r.Level)
	}
	if r.Target != "" {
		headers = record.Without(headers, levels.HeaderTarget, levels.HeaderPartition)
		put(levels.HeaderTarget, r.Target)
	}
	return headers
}

// add puts a letter into the transaction, and sends that when it is full.
func (r *resending) add(ctx context.Context, s scan.Span, letter *kgo.Record, headers []kgo.RecordHeader, out Resent) error {
	sent, _ := r.sendings.of(out.Letter)
	r.batch = append(r.batch, &revived{
		Letter: out.Letter, end: s.To, times: max(out.Deaths-1, sent.Times) + 1,
		rec: &kgo.Record{Topic: out.Way, Partition: levels.ByKey, Key: letter.Key, Value: letter.Value, Headers: headers},
	})
	r.bytes += record.BatchBytes(r.batch[len(r.batch)-1].rec)
	if len(r.batch) < cmp.Or(r.atOnce, resendLetters) && r.bytes < resendBytes {
		return nil
	}
	return r.send(ctx)
}

// send sends what has come together, in one transaction.
func (r *resending) send(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	if err := r.producer.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, resendPatience)
	defer cancel()
	told, err := r.write(wait)
	end := kgo.TryCommit
	if err != nil {
		end = kgo.TryAbort
	}
	// A person's Ctrl-C must not leave it open: whoever reads the inbox would wait.
	last, done := context.WithTimeout(context.WithoutCancel(ctx), resendTimeout)
	defer done()
	if end == kgo.TryAbort {
		_ = r.producer.AbortBufferedRecords(last)
	}
	switch endErr := r.producer.EndTransaction(last, end); {
	case err != nil: // whether it was aborted or not: it cannot be committed any more
		return fmt.Errorf("%w; of the last %s none was sent", overtaken(err), plural(len(r.batch)))
	case endErr != nil:
		return fmt.Errorf("commit: %w; it is not known whether %s from %v on were sent: the same command again finds out, and sends none twice",
			overtaken(grantTransactions(endErr, r.names.Resent())), plural(len(r.batch)), r.batch[0].place())
	}
	for i, v := range r.batch {
		told[i].At = time.Now()
		r.sendings.add(told[i])
		v.SentAgain, v.SentTo = &told[i].At, told[i].To.String()
		if err := r.report(Resent{Letter: v.Letter, Outcome: OutcomeSent, Way: v.rec.Topic}); err != nil {
			return err
		}
	}
	r.batch, r.bytes = nil, 0
	return nil
}

// write writes the letters and then, as it is known by then where they are, what
// tells of them.
func (r *resending) write(ctx context.Context) ([]Sending, error) {
	letters := make([]*kgo.Record, len(r.batch))
	for i, v := range r.batch {
		letters[i] = v.rec
	}
	if i, err := r.produce(ctx, letters); err != nil {
		return nil, fmt.Errorf("send dead letter %v to %s: %w", r.batch[i].place(), letters[i].Topic, err)
	}
	told := make([]Sending, len(r.batch))
	records := make([]*kgo.Record, len(r.batch))
	for i, v := range r.batch {
		told[i] = Sending{
			Letter: v.place(), Died: v.Died.UnixMilli(), ID: v.ID, DeadEnd: v.end, Times: v.times,
			To: admin.Place{Topic: v.rec.Topic, Partition: v.rec.Partition, Offset: v.rec.Offset},
		}
		var err error
		if records[i], err = told[i].record(r.names.Resent()); err != nil {
			return nil, err
		}
	}
	if _, err := r.produce(ctx, records); err != nil {
		return nil, fmt.Errorf("record on %s what was sent again: %w", r.names.Resent(), err)
	}
	return told, nil
}

// produce writes records and waits for the answers, until ctx ends: franz-go itself
// waits on, for what may have reached a broker. It returns the first that failed. What
// is unanswered at a time takes no more than its topic's limit, before compression, so
// that no batch does; a record that is larger by itself is sent alone, and the broker
// judges what it is compressed.
func (r *resending) produce(ctx context.Context, records []*kgo.Record) (int, error) {
	errs := make([]error, len(records))
	unanswered := int64(0)
	for i, rec := range records {
		n := record.BatchBytes(rec)
		if unanswered += n; unanswered > n && unanswered > int64(cmp.Or(r.limits[rec.Topic], describe.KafkaMaxMessage)) {
			if err := r.producer.Flush(ctx); err != nil {
				return 0, err // errs may still be written to
			}
			unanswered = n
		}
		r.producer.Produce(ctx, rec, func(_ *kgo.Record, err error) { errs[i] = err })
	}
	if err := r.producer.Flush(ctx); err != nil {
		return 0, err // errs may still be written to
	}
	for i, err := range errs {
		if err != nil {
			return i, connect.GrantTopic(grantTransactions(err, r.names.Resent()), connect.Write, records[i].Topic)
		}
	}
	return 0, nil
}

// overtaken adds ErrOvertaken to what a producer meets whose id another one has.
func overtaken(err error) error {
	for _, of := range []error{kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.InvalidProducerIDMapping} {
		if errors.Is(err, of) {
			return fmt.Errorf("%w (%w)", ErrOvertaken, err)
		}
	}
	return err
}

// plural is n with its noun.
func plural(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return strconv.Itoa(n) + " dead letters"
}
