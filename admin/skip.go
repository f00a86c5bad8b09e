package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

const (
	// skipPatience bounds how long the dead letters of a batch may take to be written.
	skipPatience = time.Minute
	// maxLetterBatch bounds the batches of dead letters in bytes, below what the client
	// writes at once (BrokerMaxWriteBytes, 100 MiB).
	maxLetterBatch = 64 << 20
	// skipMetadata begins the metadata of a commit of [levels.Names.SkippedGroup]; the
	// offset follows from which on nothing is to be read.
	skipMetadata = "skip "
)

// Skip is a batch in the way of a partition, to be skipped: the service cannot decode
// it and has stopped that partition.
type Skip struct {
	// At is the offset that the operator names.
	At Place `json:"at"`
	// First and Last are the offsets that the batch spans. The partition goes on after
	// Last.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// Records is how many records the header of the batch claims.
	Records int32 `json:"records"`
	// Bytes, Codec and SHA256 describe the batch as the broker stores it.
	Bytes  int    `json:"bytes"`
	Codec  string `json:"codec"`
	SHA256 string `json:"sha256"`
	// Fault says why the batch cannot be decoded; "" where it can.
	Fault string `json:"fault,omitempty"`
	// Letters is where its dead letters are, once Do has written them.
	Letters []Place `json:"letters,omitempty"`
	// Bare is how many of them hold neither the batch nor the record, which are larger
	// than the topic of dead letters takes.
	Bare int `json:"bare,omitempty"`

	names   levels.Names
	batch   *rawBatch
	from    int64         // no record is from here up to the batch
	decoded []*kgo.Record // what Do writes a dead letter for each of, where there is no Fault
}

// NewSkip finds the batch that holds the record at a place, or the next one if no
// record is in between. It refuses places where nothing is to be skipped. It changes
// nothing.
func NewSkip(ctx context.Context, cl *kgo.Client, names levels.Names, at Place) (*Skip, error) {
	span, err := skippable(ctx, cl, names, at)
	if err != nil {
		return nil, err
	}
	l := &locator{cl: cl, topic: at.Topic, span: span}
	b, err := l.batch(ctx, at.Offset)
	if err != nil {
		return nil, err
	}
	s := &Skip{
		At: at, First: b.first, Last: b.last, Records: b.header.NumRecords,
		Bytes: len(b.bytes), Codec: b.codec(), SHA256: fmt.Sprintf("%x", sha256.Sum256(b.bytes)),
		names: names, batch: b, decoded: b.since(at.Offset),
	}
	if b.fault != nil {
		s.Fault = b.fault.Error()
	}
	if s.from, err = l.reach(ctx, b, at.Offset); err != nil {
		return nil, err
	}
	if err := s.skipped(ctx, cl); err != nil {
		return nil, err
	}
	if err := s.handled(ctx, cl); err != nil {
		return nil, err
	}
	return s, nil
}

// skippable refuses a place that the service does not read. It returns the offsets of
// the partition.
func skippable(ctx context.Context, cl *kgo.Client, names levels.Names, at Place) (scan.Span, error) {
	if _, isLevel := names.LevelDelay(at.Topic); !isLevel && at.Topic != names.Inbox() && at.Topic != names.Parked() {
		return scan.Span{}, fmt.Errorf("%v: the service does not read topic %s; it reads %s, %s* and %s",
			at, at.Topic, names.Inbox(), names.LevelPrefix(), names.Parked())
	}
	spans, err := scan.Readable(ctx, cl, at.Topic)
	if err != nil {
		return scan.Span{}, fmt.Errorf("%v: %w", at, err)
	}
	if len(spans) == 0 {
		return scan.Span{}, fmt.Errorf("%v: topic %s does not exist", at, at.Topic)
	}
	if int(at.Partition) >= len(spans) {
		return scan.Span{}, fmt.Errorf("%v: topic %s has %d partitions", at, at.Topic, len(spans))
	}
	s := spans[at.Partition]
	if at.Offset >= s.To {
		return scan.Span{}, fmt.Errorf("%v: no record is there: %v has the offsets from %d up to before %d", at, s.Partition, s.From, s.To)
	}
	return s, nil
}

// skipped returns an error if all that is to be skipped is committed already. A commit
// for a later batch does not help a service that stands before this one.
func (s *Skip) skipped(ctx context.Context, cl *kgo.Client) error {
	group := s.names.SkippedGroup()
	told, err := kadm.NewClient(cl).FetchOffsetsForTopics(ctx, group, s.At.Topic)
	if err = cmp.Or(err, told.Error()); errors.Is(err, kerr.GroupIDNotFound) { // nothing was ever skipped
		return nil
	}
	if err != nil {
		right := connect.Describe
		if errors.Is(err, kerr.GroupAuthorizationFailed) { // to look is not enough
			right = connect.Read
		}
		return fmt.Errorf("fetch the offsets of group %s: %w", group, connect.GrantGroup(err, right, group))
	}
	o, _ := told.Lookup(s.At.Topic, s.At.Partition)
	from, isSkip := strings.CutPrefix(o.Metadata, skipMetadata)
	if n, err := strconv.ParseInt(from, 10, 64); !isSkip || err != nil || n > s.from || o.At <= s.Last {
		return nil
	}
	return fmt.Errorf("%v: it is skipped already: the commit of group %s is %d", s.At, group, o.At)
}

// handled returns an error if the service has committed an offset after the place. What
// stands before the batch holds no record: there, the commit may be at the batch.
func (s *Skip) handled(ctx context.Context, cl *kgo.Client) error {
	group := s.names.ForwarderGroup()
	if s.At.Topic == s.names.Inbox() {
		group = s.names.RouterGroup()
	}
	committed, err := offsets.Committed(ctx, kadm.NewClient(cl), group)
	if err != nil {
		return err
	}
	if next, ok := committed[offsets.Partition{Topic: s.At.Topic, Partition: s.At.Partition}]; ok && next > max(s.At.Offset, s.First) {
		return fmt.Errorf("%v: it is handled already: the commit of group %s is %d", s.At, group, next)
	}
	return nil
}

// Do writes the dead letters and then commits, as [levels.Names.SkippedGroup], the
// offset after the batch: the service polls it and goes on there.
//
// A batch that cannot be decoded is one dead letter with the batch as its value. Any
// other batch is one dead letter for each of its records. Where Do fails after the
// letters are written, Do again writes them again.
func (s *Skip) Do(ctx context.Context, cl *kgo.Client) error {
	if err := s.deadLetter(ctx, cl); err != nil {
		return fmt.Errorf("write the dead letters of %v: %w; nothing is skipped", s.At, err)
	}
	if err := s.commit(ctx, cl); err != nil {
		return fmt.Errorf("skip %v: %w; its dead letters are written, and are written again if you run the command again", s.At, err)
	}
	return nil
}

// letters returns the records that the dead letters are made of, and the letters.
func (s *Skip) letters() (sources, letters []*kgo.Record) {
	dead := s.names.Dead()
	if s.Fault != "" {
		src := &kgo.Record{Topic: s.At.Topic, Partition: s.At.Partition, Offset: s.First, Value: s.batch.bytes}
		return []*kgo.Record{src}, []*kgo.Record{record.Dead(src, dead, levels.Facts{}, s.refusal(""), 0)}
	}
	for _, rec := range s.decoded {
		src, facts := s.facts(rec)
		sources = append(sources, src)
		letters = append(letters, record.Dead(src, dead, facts, s.refusal(""), 0))
	}
	return sources, letters
}

// facts returns what the service knows of a record that it could read.
func (s *Skip) facts(rec *kgo.Record) (*kgo.Record, levels.Facts) {
	switch s.At.Topic {
	case s.names.Parked():
		if src, facts, err := record.Unpark(rec); err == nil {
			return src, facts
		}
	case s.names.Inbox():
	default:
		if facts, ok := record.ReadHop(rec.Headers); ok {
			return rec, facts
		}
	}
	return rec, levels.Facts{Accepted: rec.Timestamp.UnixMilli()}
}

// refusal says what happened; more is added to it.
func (s *Skip) refusal(more string) levels.Refusal {
	if s.Fault == "" {
		return levels.Refusal{Code: levels.Skipped, Detail: "an operator skipped it with delayd admin skip --force" + more}
	}
	return levels.Refusal{Code: levels.Unreadable, Detail: fmt.Sprintf("the batch with the offsets %d to %d (%d records, %d bytes, codec %s) cannot be decoded: %s%s",
		s.First, s.Last, s.Records, s.Bytes, s.Codec, s.Fault, more)}
}

// deadLetter writes the dead letters and waits until the broker has them.
func (s *Skip) deadLetter(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, skipPatience)
	defer cancel()
	dead := s.names.Dead()
	limit := s.letterLimit(ctx, cl)
	own, err := kgo.NewClient(append(cl.Opts()[:len(cl.Opts()):len(cl.Opts())],
		kgo.ProducerLinger(0), kgo.RecordPartitioner(record.Partitioner()), kgo.ProducerBatchMaxBytes(limit))...)
	if err != nil {
		return err
	}
	defer own.Close()
	s.Letters, s.Bare = nil, 0
	sources, letters := s.letters()
	for i, result := range own.ProduceSync(ctx, letters...) {
		letter, err := letters[i], result.Err
		if errors.Is(err, kerr.MessageTooLarge) {
			s.Bare++
			letter = s.bareLetter(sources[i])
			err = own.ProduceSync(ctx, letter).FirstErr()
		}
		if err != nil {
			return connect.GrantWrite(err, dead)
		}
		s.Letters = append(s.Letters, Place{letter.Topic, letter.Partition, letter.Offset})
	}
	return nil
}

// letterLimit is how large a batch of dead letters may be. Where that cannot be read
// Kafka's own default counts.
func (s *Skip) letterLimit(ctx context.Context, cl *kgo.Client) int32 {
	dead := s.names.Dead()
	n := 0
	if topics, err := describe.Configs(ctx, cl, kmsg.ConfigResourceTypeTopic, dead); err == nil && topics[dead].Err == nil {
		n, _ = strconv.Atoi(topics[dead].Values[maxMessage])
	}
	return int32(min(cmp.Or(max(n, 0), describe.KafkaMaxMessage), maxLetterBatch))
}

// bareLetter is the dead letter without the record, which is too large.
func (s *Skip) bareLetter(src *kgo.Record) *kgo.Record {
	lost := fmt.Sprintf("; %s does not take it: its value has %d bytes, sha256 %x", s.names.Dead(), len(src.Value), sha256.Sum256(src.Value))
	bare := &kgo.Record{Topic: src.Topic, Partition: src.Partition, Offset: src.Offset}
	return record.Dead(bare, s.names.Dead(), levels.Facts{}, s.refusal(lost), 0)
}

// commit commits where the service goes on, and reads it back.
func (s *Skip) commit(ctx context.Context, cl *kgo.Client) error {
	adm, group := kadm.NewClient(cl), s.names.SkippedGroup()
	o := kadm.Offset{
		Topic: s.At.Topic, Partition: s.At.Partition, At: s.Last + 1, LeaderEpoch: -1,
		Metadata: skipMetadata + strconv.FormatInt(s.from, 10),
	}
	var told kadm.Offsets
	told.Add(o)
	if err := adm.CommitAllOffsets(ctx, group, told); err != nil {
		err = connect.GrantTopic(connect.GrantGroup(err, connect.Read, group), connect.Read, o.Topic)
		return fmt.Errorf("commit the skip for group %s: %w", group, err)
	}
	read, err := adm.FetchOffsetsForTopics(ctx, group, o.Topic)
	if err != nil {
		return fmt.Errorf("read the offset of group %s back: %w", group, connect.GrantGroup(err, connect.Describe, group))
	}
	if got, _ := read.Lookup(o.Topic, o.Partition); got.Err != nil || got.At != o.At || got.Metadata != o.Metadata {
		return fmt.Errorf("the offset of group %s is %d %q (error %v) and not %d %q; somebody else may have run this command",
			group, got.At, got.Metadata, got.Err, o.At, o.Metadata)
	}
	return nil
}
