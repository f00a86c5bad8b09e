package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/printable"
)

// owners refuses level topics that another group reads too. A level topic has
// one owner: two would each deliver every record, and the purge would stop at the
// slower one for ever. Where our own group has offsets the other one came later, to
// look at what is there: the topic is Shared, because nobody is helped by a service
// that does not start.
//
// Groups that we may not see cannot be refused. A look-up that does not work is
// noted: one broker that is down must not keep the service from starting.
func owners(ctx context.Context, cl *kgo.Client, spec Spec, results Results) {
	adm, own := kadm.NewClient(cl), spec.Names.ForwarderGroup()
	var topics []string
	for i, t := range spec.topics() {
		if t.kind == level && results[i].Outcome != OutcomeFailed {
			topics = append(topics, t.name)
		}
	}
	if len(topics) == 0 {
		return
	}
	others := spec.others()
	commits, active, err := others.Commits(ctx, cl, topics)
	readers := assigned(ctx, adm, active, topics)
	for _, group := range readers {
		others.Ask(group)
	}
	mine := make(map[string]bool)
	if len(commits) > 0 || len(readers) > 0 {
		committed, _ := offsets.Committed(ctx, adm, own) // what is not known is not ours
		for p := range committed {
			mine[p.Topic] = true
		}
	}
	for i := range results {
		r := &results[i]
		if !slices.Contains(topics, r.Topic) {
			continue
		}
		at := slices.IndexFunc(commits, func(c offsets.Commit) bool { return c.Topic == r.Topic })
		refuse := r.fail
		if mine[r.Topic] {
			refuse = r.share
		}
		switch {
		case at >= 0:
			group := commits[at].Group
			refuse(fmt.Errorf("topic %s: group %s has committed offsets on it, and a level topic has one owning group, here %s; "+
				"stop that group and forget its offsets with %s, or give one of the two another --prefix",
				r.Topic, printable.Text(group), own, toolsFor(cl).forget(group, r.Topic)))
		case readers[r.Topic] != "":
			refuse(fmt.Errorf("topic %s: group %s has members that read it, and a level topic has one owning group, here %s; "+
				"stop that group, or give one of the two another --prefix", r.Topic, printable.Text(readers[r.Topic]), own))
		case err != nil:
			r.note(fmt.Sprintf("not known whether another group reads it: %v", err))
		}
	}
}

// describedAtOnce bounds the groups of one request.
const describedAtOnce = 100

// assigned finds one of groups for every one of topics that has a partition assigned to
// a member of it. Groups that cannot be described count as none: most have offsets too
// and are found by those.
func assigned(ctx context.Context, adm *kadm.Client, groups, topics []string) map[string]string {
	readers := make(map[string]string)
	add := func(group string, partitions kadm.TopicsSet) {
		for _, topic := range topics {
			if len(partitions[topic]) > 0 {
				readers[topic] = group
			}
		}
	}
	for some := range slices.Chunk(groups, describedAtOnce) {
		classic, _ := adm.DescribeGroups(ctx, some...)
		for name, g := range classic {
			add(name, g.AssignedPartitions())
		}
		modern, _ := adm.DescribeConsumerGroups(ctx, some...) // KIP-848; brokers before 3.7 do not know them
		for name, g := range modern {
			add(name, g.AssignedPartitions())
		}
	}
	return readers
}
