package main

import (
	"fmt"
	"io"

	"github.com/delayd-io/delayd/admin"
)

// printRetired says of each level that was taken out of the ladder what is left of
// it, and when its topic can go.
func printRetired(w io.Writer, s admin.Status) {
	for _, l := range s.Levels {
		switch {
		case !l.Retired:
		case l.Pending > 0:
			fmt.Fprintf(w, "%s: level %s is not in the ladder; keep its topic: %s wait on it and are delivered when due\n",
				l.Topic, l.Level, plural(int(l.Pending), "record"))
		default:
			fmt.Fprintf(w, "%s: level %s is not in the ladder, and nothing waits on it; its topic may be deleted "+
				"once no delayd has the level in its ladder and no producer writes to it\n", l.Topic, l.Level)
		}
	}
}
