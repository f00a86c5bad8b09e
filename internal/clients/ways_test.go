//go:build realkafka

package clients

import (
	"strings"
	"time"

	"github.com/delayd-io/delayd/levels"
)

// levelDelay is the level that the tests send to.
const levelDelay = time.Second

// idHeader tells the records of this test apart.
const idHeader = "id"

// way is a way in: the topic, and what has to be asked for there.
type way struct {
	name, topic string
	ask         []header
}

// ways are both ways in, with a delay of one second.
func ways() []way {
	names := levels.Names{Prefix: levels.DefaultPrefix}
	level := levels.Level{Delay: levelDelay}
	return []way{
		{"inbox", names.Inbox(), []header{{levels.HeaderLevel, []byte(level.String())}}},
		{"level", names.Level(level), nil},
	}
}

// request is r, sent this way, to be delivered to target. What is asked for
// stands in the middle of the user's own headers.
func (w way) request(r record, target, id string) record {
	r.Topic = w.topic
	r.Headers = append(append(append([]header(nil), r.Headers...), w.ask...),
		header{levels.HeaderTarget, []byte(target)}, header{idHeader, []byte(id)})
	return r
}

// withoutDelay is hs without the headers that delayd takes off or puts on.
func withoutDelay(hs []header) (rest []header) {
	for _, h := range hs {
		if !strings.HasPrefix(h.Key, "delay-") {
			rest = append(rest, h)
		}
	}
	return rest
}
