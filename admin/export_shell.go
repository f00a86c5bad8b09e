package admin

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Script writes a shell script for kafka-topics.sh and kafka-acls.sh. It can be run again:
// what is there already is left as it is. Nothing is written where [Export.Check] has an
// error.
func (e Export) Script(w io.Writer) error {
	e, err := e.complete()
	if err != nil {
		return err
	}
	k, c := tools{brokers: e.Brokers, config: e.CommandConfig}, e.cluster()
	_, err = fmt.Fprintln(w, "#!/bin/sh\nset -e")
	err = errors.Join(err, comment(w, e.heading()...))
	line := func(text string) {
		if _, failed := fmt.Fprintln(w, text); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	for _, t := range e.Spec.topics() {
		line(k.create(t, c, e.Spec.Replicas))
	}
	if e.Spec.Profile.rules().iam {
		return errors.Join(err, comment(w, e.byIAM()...))
	}
	for _, g := range e.Grants {
		err = errors.Join(err, comment(w, g.title()))
		for _, rights := range together(e.rights(g)) {
			for _, r := range rights {
				err = errors.Join(err, comment(w, r.String()+": "+r.Reason()))
			}
			line(k.grant(g.Principal, rights...))
		}
	}
	return err
}

// together groups rights by what one call of kafka-acls.sh can grant: several
// operations on several resources of one type and one kind of pattern, each on
// each. A call starts a JVM.
func together(rights []Right) (calls [][]Right) {
	type resource struct {
		of       kmsg.ACLResourceType
		name     string
		prefixed bool
	}
	var order []resource
	on := make(map[resource][]Right)
	for _, r := range rights {
		of := resource{r.Resource, r.Name, r.Prefixed}
		if on[of] == nil {
			order = append(order, of)
		}
		on[of] = append(on[of], r)
	}
	at := make(map[string]int) // of a call, by what all of its resources have in common
	for _, of := range order {
		operations := make([]string, len(on[of]))
		for i, r := range on[of] {
			operations[i] = r.OperationName()
		}
		slices.Sort(operations)
		same := fmt.Sprint(of.of, of.prefixed, operations)
		i, ok := at[same]
		if !ok {
			i = len(calls)
			at[same], calls = i, append(calls, nil)
		}
		calls[i] = append(calls[i], on[of]...)
	}
	return calls
}
