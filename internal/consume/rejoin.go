package consume

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A member that the coordinator has removed, and that hears of it in the answer to its
// JoinGroup, joins again under a new member id. Java's client takes its partitions for
// lost then; franz-go (1.22) keeps them and calls nothing. Meanwhile others may have owned
// them, and a commit in the name of the new member would be accepted for what only the
// old one was given: after exactly-once delivery twice, and after at-least-once delivery
// a commit that goes back. So each lane knows the membership that it was assigned to.

// errRejoined says that a lane was assigned to a membership that is over.
var errRejoined = errors.New("the group has removed this member, and knows it by another id now")

// errFencedJoining says that the instance id got another member before ours had joined. That
// need not be another process's: a JoinGroup of ours whose connection broke is sent again, and
// the former may reach the coordinator after it and take the place of its member. franz-go goes
// on joining as that, in vain, so that a new client is needed. [ErrFenced], on which a service
// manager starts nothing again, would leave the instance down.
var errFencedJoining = errors.New("fenced while it joined: a request of its own came late, or another process uses the same instance id; start it again")

// member returns the id that the group knows us by, or knew us by last.
func (c *Consumer) member() string {
	member, _ := c.client.GroupMetadata()
	return member
}

// inherited takes the lanes of an earlier membership out of service, and returns their
// partitions, which the group has given us again.
func (c *Consumer) inherited() map[string][]int32 {
	member := c.member()
	again := make(map[string][]int32)
	for _, l := range c.each() {
		if l.member != member {
			again[l.topic.Name] = append(again[l.topic.Name], l.partition)
		}
	}
	if len(again) > 0 {
		c.lost(c.work, c.client, again)
	}
	return again
}

// restart makes franz-go fetch lanes of partitions that it had before where they start
// now.
func (c *Consumer) restart(again map[string][]int32) {
	at := make(map[string]map[int32]kgo.EpochOffset)
	for _, l := range c.pick(again) {
		l.mu.Lock()
		if l.next != unknownOffset {
			setOffset(at, l, l.next)
			l.placed = true
		}
		l.mu.Unlock()
	}
	c.fetchFrom(at)
}
