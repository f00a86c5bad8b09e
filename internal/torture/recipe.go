package main

import (
	"math/rand/v2"
	"time"

	"github.com/delayd-io/delayd/levels"
)

// way is how a record gets into the service.
type way uint8

const (
	viaInbox way = iota // to the inbox, with the level in a header
	straight            // straight to the level's topic
	ways     = 2
)

func (w way) String() string {
	if w == straight {
		return "straight"
	}
	return "inbox"
}

// The share of records that are unlike the others: one in each of these numbers.
const (
	nullKeys     = 20
	emptyKeys    = 40
	nullValues   = 30
	emptyValues  = 30
	longValues   = 400
	atOnce       = 25 // of those that go to the inbox
	ownIDs       = 10
	partitioned  = 8 // of the keys: their records name their partition
	abortedShare = 4 // of the transactions
)

const (
	// padding is the longest value, but for the long ones, which have longPadding
	// and come in batches of their own.
	padding     = 200
	longPadding = 30_000
	// transactionRecords is how many records a transaction has. Nobody reads past
	// an open one, so it is short: a producer that keeps others waiting is another
	// row's subject.
	transactionRecords = 20
)

// The keys of a producer: none of another has them, so that the order in which
// records with a key were sent is one producer's own.
const (
	nullKey  = -1
	emptyKey = 0 // and from 1 on those with text
)

// mix says what records there are. It never changes during a run.
type mix struct {
	run       string // runLength letters that tell this run's records from others
	seed      uint64
	names     levels.Names
	levels    []levels.Level
	targets   []string
	targetPar int32 // partitions of a target that a record may name
	keys      int   // of each producer, beside the empty one
	producers int
	// transactional says that the last producer writes in transactions.
	transactional bool
	// skew is by how much the clocks of producers are wrong: every other one's ahead,
	// the others' behind.
	skew time.Duration
	// alter changes what a record is, for rows that send what others do not. It
	// must follow from its arguments.
	alter func(*recipe, *rand.Rand)
	// gzip says that producers compress by it, and write what is small only then.
	gzip bool
	// haven is the target of dead letters that are sent again, "" for the target
	// that the record would have had.
	haven string
}

// recipe is what a record is. It follows from the mix and the number alone.
type recipe struct {
	id        int64
	producer  int
	key       int
	way       way
	level     levels.Level // the zero Level is no delay
	target    int
	partition int32 // of the target; byKey is chosen by the key
	aborted   bool  // its transaction is
	nullValue bool
	padding   int // bytes of the value behind what it says of itself; -1: an empty value
	letters   int // of one kind, behind that
	ownID     bool
	headers   uint64        // seed of the producer's own headers
	spelling  int           // how the level is written
	asked     string        // the level as written, "" for one of the level's own spellings
	ask       asking        // what it asks for
	rest      time.Duration // where that is an exact time: how long after it is sent
	to        string        // the topic that is asked for, "" for that of target
	// unaddressed says that no target is asked for, and askedPartition how the
	// partition is written, "" for as it is.
	unaddressed    bool
	askedPartition string
	hopDue         string        // what the producer writes where the router says when a record is due
	crowd          int           // headers beside the others
	stamp          time.Duration // how far the producer's timestamp is from its clock
	// dead is the reason for which it becomes a dead letter, "" where it is to be
	// delivered.
	dead levels.Code
}

// byKey is the partition of a record that names none.
const byKey = -1

// recipe returns what the record of a number is.
func (m *mix) recipe(id int64) recipe {
	r := rand.New(rand.NewPCG(m.seed, uint64(id)))
	one := func(in int) bool { return r.IntN(in) == 0 }
	c := recipe{
		id: id, producer: int(id % int64(m.producers)), key: 1 + r.IntN(m.keys), partition: byKey,
		way: way(r.IntN(ways)), level: m.levels[r.IntN(len(m.levels))], target: r.IntN(len(m.targets)),
		padding: r.IntN(padding), headers: r.Uint64(), spelling: r.IntN(3), ownID: one(ownIDs),
	}
	switch {
	case one(nullKeys):
		c.key = nullKey
	case one(emptyKeys):
		c.key = emptyKey
	case c.key%partitioned == 0:
		c.partition = int32(c.key/partitioned) % m.targetPar
	}
	switch {
	case one(nullValues):
		c.nullValue = true
	case one(emptyValues):
		c.padding = -1
	case one(longValues):
		c.padding = longPadding
	}
	if m.transactional && c.producer == m.producers-1 {
		c.aborted = m.aborts(m.transaction(id))
	} else if c.way == viaInbox && one(atOnce) {
		c.level = levels.Level{}
	}
	if m.alter != nil {
		m.alter(&c, r)
	}
	return c
}

// transaction is the number of a record's transaction among those of its producer.
func (m *mix) transaction(id int64) int64 { return id / int64(m.producers) / transactionRecords }

// aborts reports whether a transaction is aborted.
func (m *mix) aborts(transaction int64) bool {
	return rand.New(rand.NewPCG(^m.seed, uint64(transaction))).IntN(abortedShare) == 0
}

// granted is the name of the level that a record gets.
func (c *recipe) granted() string {
	if c.ask != byLevel {
		return levels.GrantedExact
	}
	return levels.FormatDelay(c.level.Delay)
}

// cut is what is added to due times because timestamps are cut to a millisecond.
const cut = time.Millisecond

// dueMs is when a record with a level is due that was accepted then, in Unix milliseconds.
func (c *recipe) dueMs(accepted int64) int64 {
	if c.level.Delay == 0 {
		return accepted
	}
	return accepted + (c.level.Delay + cut).Milliseconds()
}

// lanes is how many lanes there are; see [mix.lane].
func (m *mix) lanes() int {
	return m.producers * (m.keys + 1) * ways * (len(m.levels) + 1) * len(m.targets)
}

// lane numbers what keeps its order: the same key, sent the same way in through
// the same level to the same target. It is false for a record without a key, and
// for one that asks for an exact time.
func (m *mix) lane(c *recipe) (int, bool) {
	if c.key == nullKey || c.ask != byLevel {
		return 0, false
	}
	level := 0
	for i, l := range m.levels {
		if l == c.level {
			level = i + 1
		}
	}
	n := c.producer*(m.keys+1) + c.key
	n = n*ways + int(c.way)
	n = n*(len(m.levels)+1) + level
	return n*len(m.targets) + c.target, true
}
