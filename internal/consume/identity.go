package consume

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A topic that is deleted and created again has the name of the former one, and
// offsets that mean other records. Kafka keeps a group's commits by name, and up to
// 4.1 accepts one for a topic that has taken the other's place. So each commit says
// in its metadata which topic it is for: the topic's id and the cluster's. A commit
// from another cluster was translated by whatever copied the topic, and counts.

// identityWord begins the metadata of a commit. The topic's id and the cluster's
// follow, as in "id C0ffee…@4L6g3n…".
const identityWord = "id"

// identity is a topic of a cluster. The zero value is one that is not known.
type identity struct {
	topic   kadm.TopicID
	cluster string
}

// format returns the identity for a commit's metadata, "" where it is not known.
func (i identity) format() string {
	if i.topic == (kadm.TopicID{}) {
		return ""
	}
	return identityWord + " " + base64.RawURLEncoding.EncodeToString(i.topic[:]) + "@" + i.cluster
}

// cutIdentity returns the identity that format wrote and the rest of the metadata.
// Metadata without one, such as another client's, is all rest.
func cutIdentity(meta string) (i identity, rest string) {
	word, tail, _ := strings.Cut(meta, " ")
	if word != identityWord {
		return identity{}, meta
	}
	word, rest, _ = strings.Cut(tail, " ")
	id, cluster, _ := strings.Cut(word, "@")
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(b) != len(i.topic) {
		return identity{}, rest
	}
	return identity{kadm.TopicID(b), cluster}, rest
}

// replaces reports whether a topic has taken the place of the one that was committed
// for: both are known, and they are two of the same cluster.
func (i identity) replaces(committed identity) bool {
	var none kadm.TopicID
	return i.topic != none && committed.topic != none && i.cluster == committed.cluster && i.topic != committed.topic
}

// Outdated reports whether a commit with this metadata was made for a former topic of the name,
// and not for the one with this id in this cluster.
func Outdated(metadata string, topic kadm.TopicID, cluster string) bool {
	committed, _ := cutIdentity(metadata)
	return identity{topic, cluster}.replaces(committed)
}

// identify looks up which topics the lanes are of, by name. The error of one topic
// stands in its details.
func (c *Consumer) identify(ctx context.Context, names []string) (map[string]identity, kadm.TopicDetails, error) {
	meta, err := c.adm.Metadata(ctx, names...)
	if err != nil {
		return nil, nil, fmt.Errorf("look up the topics' ids: %w", err)
	}
	ids := make(map[string]identity, len(meta.Topics))
	for name, t := range meta.Topics {
		if t.Err == nil {
			ids[name] = identity{t.ID, meta.Cluster}
		}
	}
	return ids, meta.Topics, nil
}

// logRecreated reports that a commit was made for another topic than the one there is.
func (c *Consumer) logRecreated(topic string, n int32, committed, start int64) {
	c.log.Error().Str("topic", topic).Int32("partition", n).Int64("committed", committed).Int64("start", start).
		Msg("topic was deleted and created again since the last commit: reading it from its start; " +
			"what was pending in the former topic is gone, and nothing that the new one has accepted is")
}

// place corrects where franz-go starts to fetch lanes that do not start at their
// commit, or whose commit it could not read. A lane without a commit starts at a known
// offset too: else franz-go ignores SetOffsets until it has polled a record of it.
func (c *Consumer) place(_ context.Context, starts map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	for _, l := range c.each() {
		l.mu.Lock()
		at, asked := starts[l.topic.Name][l.partition]
		bare := asked && at.EpochOffset().Offset < 0 && l.next != unknownOffset
		if asked && (l.moves || bare) && !l.read || !asked && !l.placed {
			if starts[l.topic.Name] == nil {
				starts[l.topic.Name] = make(map[int32]kgo.Offset)
			}
			starts[l.topic.Name][l.partition] = kgo.NewOffset().At(l.next)
		}
		l.placed = true
		l.mu.Unlock()
	}
	return starts, nil
}
