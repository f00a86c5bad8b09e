package admin

import (
	"errors"
	"fmt"
	"io"
)

// shell writes a script for Kafka's own tools. It can be run again: what is there
// already is left as it is.
func (e Export) shell(w io.Writer) error {
	k, c := tools{brokers: e.Brokers, config: e.CommandConfig}, e.cluster()
	_, err := fmt.Fprintln(w, "#!/bin/sh\nset -e")
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
		for _, r := range e.rights(g) {
			err = errors.Join(err, comment(w, r.reason()))
			line(k.grant(r, g.Principal))
		}
	}
	return err
}
