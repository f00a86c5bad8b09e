package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/cmd/delayd/internal/settings"
	"github.com/delayd-io/delayd/internal/printable"
	"github.com/delayd-io/delayd/levels"
)

// sureness is how well a command knows which levels the service has.
type sureness int

const (
	guessed   sureness = iota // no flag says so, and neither does the service
	stated                    // by --levels; the service has published nothing
	differing                 // --levels says others than the service has published
	certain                   // by the service
)

// installed is what a command knows of the service that it manages.
type installed struct {
	spec      admin.Spec // that the command goes by
	levels    sureness
	published *admin.Settings // by the service; nil: nothing
	unread    error           // why it is not known what the service has published
}

// givenFlags are what a person has set: on the command line, in the environment or in
// the file.
type givenFlags struct{ levels, partitions bool }

func (c *cli) given(parsed *kong.Context) (g givenFlags) {
	for _, flag := range parsed.Selected().Flags {
		set := false
		switch settings.Origin(parsed, c.settings, flag) {
		case settings.FromDefault, settings.NotSet:
		default:
			set = true
		}
		switch flag.Name {
		case "levels":
			g.levels = set
		case "partitions":
			g.partitions = set
		}
	}
	return g
}

// findInstalled completes spec, which is what the flags say, by what the service has
// published.
func findInstalled(ctx context.Context, cl *kgo.Client, spec admin.Spec, given givenFlags) installed {
	published, err := admin.Published(ctx, cl, spec.Names)
	i := settle(spec, given, published)
	i.unread = err
	return i
}

// settle goes by what the service has published where no flag says otherwise.
func settle(spec admin.Spec, given givenFlags, published *admin.Settings) installed {
	i := installed{spec: spec, published: published}
	if published != nil && !given.partitions {
		i.spec.Partitions = published.Partitions
	}
	switch {
	case published == nil && !given.levels:
		i.levels = guessed
	case published == nil:
		i.levels = stated
	case given.levels && spec.Ladder.String() != published.Levels.String():
		i.levels = differing
	default:
		i.levels, i.spec.Ladder = certain, published.Levels
	}
	return i
}

// running is the spec of what the service has, as far as that is known.
func (i installed) running() admin.Spec {
	spec := i.spec
	if i.published != nil {
		spec.Ladder = i.published.Levels
	}
	return spec
}

// remark says what a person has to know of the levels that a command goes by, "" where
// that is nothing.
func (i installed) remark() string {
	switch i.levels {
	case differing:
		return fmt.Sprintf("--levels %q: the service has other levels, %q, as its instance %s has published on %s",
			i.spec.Ladder, i.published.Levels, printable.Text(i.published.Instance), i.published.Since.Local().Format("2006-01-02 15:04:05"))
	case guessed:
		why := "no service has published them"
		if i.unread != nil {
			why = i.unread.Error()
		}
		return "the levels of the service are not known (" + why + "); say --levels as for \"delayd serve\""
	}
	return ""
}

// mayCreate refuses to create, or to plan to, the topics of a ladder that is a guess:
// where some of its topics are there and others are not, or there are those of another
// one.
func (i installed) mayCreate(ctx context.Context, cl *kgo.Client) error {
	if i.levels != guessed {
		return nil
	}
	there, err := admin.LevelTopics(ctx, cl, i.spec.Names)
	if err != nil || len(there) == 0 {
		return err
	}
	for l := range i.spec.Ladder.All() {
		if !slices.Contains(there, i.spec.Names.Level(l)) {
			return usagef("--levels is needed: the default ones are not those of the topics that are there (%s), and %s",
				listed(there), i.remark())
		}
	}
	return nil
}

// listed is the first of some names.
func listed(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// has reports whether a ladder has a level, by its name.
func has(ladder levels.Ladder, level string) bool {
	for l := range ladder.All() {
		if l.String() == level {
			return true
		}
	}
	return false
}

// goesBy notes what a command goes by that no flag says.
func (i installed) goesBy(con *console, flags admin.Spec) {
	switch {
	case i.levels == differing:
		con.note("%s", i.remark())
	case i.spec.Ladder.String() != flags.Ladder.String() || i.spec.Partitions != flags.Partitions:
		con.note("as the service has published: --levels %q --partitions %d", i.spec.Ladder, i.spec.Partitions)
	}
}
