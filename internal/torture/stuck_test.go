package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/rawbatch"
	"github.com/delayd-io/delayd/levels"
)

// Records that are late because of what stands before them are counted apart, and what
// stands there is no record that nobody sent. Its dead letter is that of the batch.
func TestStuckPartition(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	id := c.pick(0, plain)
	r := c.mix.recipe(id)
	topic := c.mix.record(&r).Topic
	c.history.sticks(topic, 0)
	bad := c.append(kgo.Record{Topic: topic, Value: []byte("not of the load")})
	c.history.unreadable(spot{topic, 0, bad.Offset, bad.Offset + 3})
	c.history.observe(bad)

	in := c.write(id)
	c.at(id, in)
	c.clock += 10_000
	c.history.observe(c.append(c.outgoing(id, in)))
	c.history.observe(in) // the reader is stuck there, too, and sees it later
	for _, origin := range []string{topic + "/0/0", topic + "/0/2", topic + "/0/3", topic + "/1/0"} {
		c.history.observe(c.append(kgo.Record{
			Topic: c.mix.names.Dead(), Headers: []kgo.RecordHeader{{Key: levels.HeaderOrigin, Value: []byte(origin)}},
		}))
	}
	got := c.history.verdict()
	got.Examples = nil
	if diff := cmp.Diff(verdict{Sent: 1, Arrived: 1, Strange: 2}, got); diff != "" {
		t.Error(diff)
	}
	c.history.decide()
	if late, aside := c.history.late.max(), c.history.aside.max(); late != 0 || aside < 10*time.Second {
		t.Errorf("%v late among the others, %v apart", late, aside)
	}
	if n := c.history.lettersOf(spot{topic, 0, 0, 3}); n != 2 {
		t.Errorf("%d dead letters of what stands there", n)
	}
}

// What still stands on a topic of delayd's is not lost, and what went with a topic that
// was deleted is not missing.
func TestStanding(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.history.begun = time.Now() // the answers to producers are by this clock
	c.clock = c.history.begun.UnixMilli()
	var ids []int64
	for id := int64(0); len(ids) < 4; id++ {
		if id = c.pick(id, plain); len(ids) < 4 {
			ids = append(ids, id)
			c.accept(id)
		}
	}
	gone := c.history.drop(func(r *recipe, e *entry) bool { return r.id == ids[0] && c.history.told(e, time.Now()) })
	early := c.history.drop(func(_ *recipe, e *entry) bool { return c.history.told(e, time.Now().Add(-time.Hour)) })
	for i, topic := range []string{c.mix.names.Inbox(), c.mix.names.Parked()} {
		r := c.mix.recipe(ids[1+i])
		rec := c.mix.record(&r)
		rec.Topic = topic
		c.history.stands(rec)
	}
	got := c.history.verdict()
	got.Examples = nil
	if diff := cmp.Diff(verdict{Sent: 4, Pending: 1, Parked: 1, Lost: 1}, got); diff != "" || gone != 1 || early != 0 {
		t.Errorf("%d and %d gone: %s", gone, early, diff)
	}
	if missing, _ := c.history.waitingFor(); missing != 3 {
		t.Errorf("%d missing, want 3", missing)
	}
}

// Whether a broker takes them is for a real one to say.
func TestUndecodable(t *testing.T) {
	t.Parallel()
	for _, codec := range []kgo.CompressionCodecType{kgo.CodecGzip, kgo.CodecSnappy, kgo.CodecLz4, kgo.CodecZstd} {
		b := undecodable(codec)
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.RecordBatches = rawbatch.Seal(b)
		if got := kgo.CompressionCodecType(b.Attributes & rawbatch.CodecMask); got != codec {
			t.Errorf("codec %d, want %d", got, codec)
		}
		fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{}, &rp, kgo.DefaultDecompressor(), nil)
		if fp.Err == nil || len(fp.Records) > 0 {
			t.Errorf("codec %d: %d records, %v", codec, len(fp.Records), fp.Err)
		}
	}
}

// The last fault is the one that ends last, whichever began last.
func TestLastToEnd(t *testing.T) {
	t.Parallel()
	got := lastToEnd([]fault{{"a", 1, 9}, {"b", 2, 4}, {"c", 3, 5}})
	if diff := cmp.Diff([]fault{{"a", 9, 9}}, got); diff != "" {
		t.Error(diff)
	}
}
