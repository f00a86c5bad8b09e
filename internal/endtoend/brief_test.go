//go:build synctests

package endtoend

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestBriefFailuresParkNothing: a target refuses single records, or fails for a moment.
// Its other records stay on the direct path: none is parked, and each arrives once and
// at most briefLate late.
func TestBriefFailuresParkNothing(t *testing.T) {
	const (
		n          = 2000
		partitions = 2
		every      = 2 * time.Millisecond
		requests   = 2 * time.Millisecond // on their way to the broker
		briefly    = 200 * time.Millisecond
		briefLate  = briefly + 250*time.Millisecond // and what delivery itself may take
	)
	for _, c := range []struct {
		name   string
		poison int // one record in this many; 0: none
		fail   func(w *world, lost *atomic.Bool)
	}{
		{name: "one record in 100 is refused", poison: 100},
		{name: "one record in 20 is refused", poison: 20},
		{name: "its leader moves", fail: func(w *world, _ *atomic.Bool) {
			f := w.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "ill", Err: kerr.NotLeaderForPartition, Count: -1})
			time.Sleep(briefly)
			f.Remove()
		}},
		{name: "answers are lost", fail: func(_ *world, lost *atomic.Bool) {
			lost.Store(true)
			time.Sleep(briefly / 10)
			lost.Store(false)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, "1s", []string{"well"}, func(w *world) {
				if err := w.Cluster.CreateTopic("ill", partitions, nil); err != nil {
					t.Fatal(err)
				}
				w.refusePoison("ill", partitions)
				lost, dial := new(atomic.Bool), w.dial
				w.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := dial(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return &lossyConn{conn, requests, lost}, nil
				}
				s := w.serve("one")
				defer s.stop()
				s.joined()
				w.dial = dial
				ill, well := w.watch("ill"), w.watch("well")
				poisoned := 0
				for i := range n {
					value, body := strconv.Itoa(i+1), strings.Repeat("x", 200)
					if c.poison > 0 && i%c.poison == c.poison/2 {
						body = poison
						poisoned++
					}
					header := kgo.RecordHeader{Key: "body", Value: []byte(body)}
					w.Client.Produce(context.Background(), w.direct("1s", "ill", "k"+strconv.Itoa(i%50), value, header), nil)
					w.Client.Produce(context.Background(), w.direct("1s", "well", "k"+strconv.Itoa(i%50), value), nil)
					if time.Sleep(every); c.fail != nil && i == n*3/4 {
						w.running.Go(func() { c.fail(w, lost) })
					}
				}
				for as, want := range map[*arrivals]int{ill: n - poisoned, well: n} {
					all := as.wait(want, time.Minute)
					once(t, all, want)
					inOrder(t, all)
					for _, a := range all {
						if a.late() > briefLate {
							t.Errorf("%s/%s: %v late", a.Topic, a.Value, a.late())
						}
					}
				}
				if parked := w.parked(); parked > 0 {
					t.Errorf("%d records were parked", parked)
				}
			})
		})
	}
}

// poison is in the records that refusePoison refuses.
const poison = "poison"

// refusePoison has each of the first partitions of topic refuse the batches in which
// there is poison.
func (w *world) refusePoison(topic string, partitions int32) {
	w.t.Helper()
	topics, err := w.Admin.ListTopics(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	id := [16]byte(topics[topic].ID)
	for n := range partitions {
		w.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Partitions: []int32{n}, Err: kerr.InvalidRecord, Count: -1,
			When: func(req kmsg.Request) bool { // it may be for other topics and partitions, too
				for _, t := range req.(*kmsg.ProduceRequest).Topics {
					for _, p := range t.Partitions {
						if (t.Topic == topic || t.TopicID == id) && p.Partition == n && bytes.Contains(p.Records, []byte(poison)) {
							return true
						}
					}
				}
				return false
			},
		})
	}
}

// parked returns how many records for targets were parked.
func (w *world) parked() (n int) {
	w.t.Helper()
	ends, err := w.Admin.ListEndOffsets(context.Background(), w.Names.Parked())
	if err != nil {
		w.t.Fatal(err)
	}
	var all int
	ends.Each(func(o kadm.ListedOffset) { all += int(o.Offset) })
	for _, a := range w.watch(w.Names.Parked()).wait(all, 5*time.Second) {
		if len(a.Key) > 0 { // the others ask the broker for its time
			n++
		}
	}
	return n
}

// lossyConn takes a while for each request, and loses the answers while lost is set.
type lossyConn struct {
	net.Conn
	slow time.Duration
	lost *atomic.Bool
}

func (c *lossyConn) Write(b []byte) (int, error) {
	time.Sleep(c.slow)
	return c.Conn.Write(b)
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.lost.Load() {
		c.Close()
		return 0, io.EOF
	}
	return n, err
}
