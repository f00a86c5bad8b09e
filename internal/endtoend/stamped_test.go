//go:build synctests

package endtoend

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// brokerClock is the clock of a broker that differs from everybody's. The broker of
// these tests neither stamps records nor has a clock of its own: both are done on the
// way to it and back.
type brokerClock struct {
	topics map[string]bool // with LogAppendTime
	ids    map[[16]byte]string

	mu    sync.Mutex
	steps []clockSet // in their order
}

type clockSet struct{ from, ahead time.Duration }

var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of each bubble

// setClock makes the broker's clock differ from everybody's from now on. The first call
// makes it stamp the service's own topics.
func (w *world) setClock(ahead time.Duration) *brokerClock {
	w.t.Helper()
	if w.clock == nil {
		w.clock = &brokerClock{topics: make(map[string]bool), ids: make(map[[16]byte]string)}
		all, err := w.Admin.ListTopics(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		for _, t := range all {
			w.clock.topics[t.Topic] = strings.HasPrefix(t.Topic, w.Names.Prefix)
			w.clock.ids[t.ID] = t.Topic
		}
		w.Cluster.ControlKey(int16(kmsg.Produce), w.clock.stamp(w.Cluster.KeepControl))
		dial := w.dial
		w.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &clockedConn{Conn: conn, clock: w.clock, question: make(map[uint32]question)}, err
		}
	}
	w.clock.mu.Lock()
	defer w.clock.mu.Unlock()
	w.clock.steps = append(w.clock.steps, clockSet{time.Since(began).Truncate(time.Millisecond), ahead})
	return w.clock
}

// shows is what the broker's clock shows at t.
func (c *brokerClock) shows(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ahead time.Duration
	for _, s := range c.steps {
		if t.Sub(began) >= s.from {
			ahead = s.ahead
		}
	}
	return t.Add(ahead)
}

func (c *brokerClock) stamps(topic string, id [16]byte) bool {
	if topic == "" {
		topic = c.ids[id]
	}
	return c.topics[topic]
}

// Where things stand in a record batch.
const (
	atLength     = 8
	atCRC        = 17
	atAttributes = 21
	atFirst      = 27
	atLast       = 35
	stampedBit   = 8
	controlBit   = 32
)

// eachBatch calls f for all whole batches in b, and fixes their checksums.
func eachBatch(b []byte, f func(batch []byte, attributes uint16)) {
	for len(b) > atLast+8 {
		n := 12 + int(binary.BigEndian.Uint32(b[atLength:]))
		if n > len(b) {
			return
		}
		f(b[:n], binary.BigEndian.Uint16(b[atAttributes:]))
		binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:n], crc32.MakeTable(crc32.Castagnoli)))
		b = b[n:]
	}
}

// stamp makes the broker stamp what comes to the topics, by everybody's clock.
func (c *brokerClock) stamp(keep func()) func(kmsg.Request) (kmsg.Response, error, bool) {
	return func(req kmsg.Request) (kmsg.Response, error, bool) {
		keep()
		for _, t := range req.(*kmsg.ProduceRequest).Topics {
			for _, p := range t.Partitions {
				if c.stamps(t.Topic, t.TopicID) {
					eachBatch(p.Records, func(batch []byte, attributes uint16) {
						binary.BigEndian.PutUint16(batch[atAttributes:], attributes|stampedBit)
					})
				}
			}
		}
		return nil, nil, false
	}
}

// clockedConn sets what a broker says of the time by its clock.
type clockedConn struct {
	net.Conn
	clock    *brokerClock
	mu       sync.Mutex
	question map[uint32]question
	rest     []byte // of the answer that is being read
}

type question struct{ key, version int16 }

func (c *clockedConn) Write(b []byte) (int, error) {
	if len(b) >= 12 {
		c.mu.Lock()
		c.question[binary.BigEndian.Uint32(b[8:])] = question{int16(binary.BigEndian.Uint16(b[4:])), int16(binary.BigEndian.Uint16(b[6:]))}
		c.mu.Unlock()
	}
	return c.Conn.Write(b)
}

func (c *clockedConn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		var size [4]byte
		if _, err := io.ReadFull(c.Conn, size[:]); err != nil {
			return 0, err
		}
		answer := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(c.Conn, answer); err != nil {
			return 0, err
		}
		answer = c.set(answer)
		c.rest = append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...)
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// set sets the times in an answer.
func (c *clockedConn) set(answer []byte) []byte {
	c.mu.Lock()
	of := c.question[binary.BigEndian.Uint32(answer)]
	delete(c.question, binary.BigEndian.Uint32(answer))
	c.mu.Unlock()
	var resp kmsg.Response
	switch kmsg.Key(of.key) {
	case kmsg.Produce:
		resp = kmsg.NewPtrProduceResponse()
	case kmsg.Fetch:
		resp = kmsg.NewPtrFetchResponse()
	default:
		return answer
	}
	resp.SetVersion(of.version)
	header := 4
	if resp.IsFlexible() {
		header++ // no tags
	}
	if err := resp.ReadFrom(answer[header:]); err != nil {
		panic(err)
	}
	switch resp := resp.(type) {
	case *kmsg.ProduceResponse:
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				if p := &resp.Topics[i].Partitions[j]; p.LogAppendTime >= 0 {
					p.LogAppendTime = c.clock.shows(time.UnixMilli(p.LogAppendTime)).UnixMilli()
				}
			}
		}
	case *kmsg.FetchResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				eachBatch(p.RecordBatches, func(batch []byte, attributes uint16) {
					if attributes&stampedBit == 0 && (attributes&controlBit == 0 || !c.clock.stamps(t.Topic, t.TopicID)) {
						return
					}
					at := c.clock.shows(time.UnixMilli(int64(binary.BigEndian.Uint64(batch[atLast:])))).UnixMilli()
					binary.BigEndian.PutUint64(batch[atFirst:], uint64(at))
					binary.BigEndian.PutUint64(batch[atLast:], uint64(at))
					binary.BigEndian.PutUint16(batch[atAttributes:], attributes|stampedBit)
				})
			}
		}
	}
	return append(answer[:header:header], resp.AppendTo(nil)...)
}
