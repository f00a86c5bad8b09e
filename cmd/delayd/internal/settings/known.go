package settings

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"
)

// The tags of a flag that this package reads.
const (
	// tagNotInFile marks a flag that cannot be in the file: one that names the file,
	// or that asks for something instead of setting it.
	tagNotInFile = "nofile"
	// tagWords marks a flag that takes several words with spaces in between, so that
	// they can be a list in the file.
	tagWords = "words"
)

// IsSetting reports whether a flag can be in the file.
func IsSetting(flag *kong.Flag) bool {
	return flag.Name != "help" && !flag.Hidden && !flag.Tag.Has(tagNotInFile)
}

// takesList reports whether a flag has several values.
func takesList(flag *kong.Flag) bool {
	return flag.Target.Kind() == reflect.Slice || flag.Tag.Has(tagWords)
}

// settingsOf are the settings of a command and of all below it, by name.
func settingsOf(command *kong.Node) map[string][]*kong.Flag {
	known := map[string][]*kong.Flag{}
	var add func(n *kong.Node)
	add = func(n *kong.Node) {
		for _, flag := range n.Flags {
			if IsSetting(flag) {
				known[flag.Name] = append(known[flag.Name], flag)
			}
		}
		for _, below := range n.Children {
			if !below.Hidden {
				add(below)
			}
		}
	}
	add(command)
	return known
}

// child is the command of that name right below another, nil for none.
func child(command *kong.Node, name string) *kong.Node {
	for _, below := range command.Children {
		if below.Name == name && !below.Hidden {
			return below
		}
	}
	return nil
}

// secretSuffix ends the name of a setting that names the file of a secret.
const secretSuffix = "-file"

// unknown says what is wrong with a key that is none, and which was meant. What
// stands behind the key is never shown: it may be a secret.
func unknown(key string, command *kong.Node, known map[string][]*kong.Flag) string {
	dashed := strings.ReplaceAll(key, "_", "-")
	if known[dashed+secretSuffix] != nil {
		return fmt.Sprintf("%q is a secret, which does not belong here; name a file that holds it with %s", key, dashed+secretSuffix)
	}
	where := ""
	if command.Parent != nil {
		where = fmt.Sprintf(" of %q", command.FullPath())
		if others := commandsWith(key, root(command)); len(others) > 0 {
			return fmt.Sprintf("%q is no setting%s, but of %s", key, where, strings.Join(others, ", "))
		}
	}
	names := slices.Sorted(maps.Keys(known))
	for _, below := range command.Children {
		if !below.Hidden {
			names = append(names, below.Name)
		}
	}
	told := fmt.Sprintf("unknown setting %q%s", key, where)
	if len(names) == 0 {
		return told + ", which has none"
	}
	if near := nearest(dashed, names); near != "" {
		told += fmt.Sprintf(", did you mean %q?", near)
	}
	return told
}

// likeness is how many letters of a name, as a part of them, may be other ones for it
// to be what was meant; fewWrong is how many may always be.
const (
	likeness = 2 // half of them
	fewWrong = 2
)

// nearest is the name that takes the fewest letters to get to, "" where none is like it.
func nearest(name string, names []string) string {
	near := slices.MinFunc(names, func(a, b string) int {
		return levenshtein.ComputeDistance(name, a) - levenshtein.ComputeDistance(name, b)
	})
	if levenshtein.ComputeDistance(name, near) > max(fewWrong, len(name)/likeness) {
		return ""
	}
	return near
}

// commandsWith are the commands that have a setting.
func commandsWith(name string, app *kong.Node) []string {
	var found []string
	for _, command := range app.Leaves(true) {
		if slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool { return f.Name == name && IsSetting(f) }) {
			found = append(found, fmt.Sprintf("%q", command.FullPath()))
		}
	}
	return found
}

func root(command *kong.Node) *kong.Node {
	for command.Parent != nil {
		command = command.Parent
	}
	return command
}

// serviceLink matches the variables that Kubernetes sets in a pod for each service of
// its namespace, as for a service that is called delayd, or delayd-metrics.
// What ends with _PORT and no more is an address with a scheme there.
var serviceLink = regexp.MustCompile(`^\w+?_(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=|PORT=\w+://)`)

// UnknownVariables returns an error for each variable in environ that begins with
// prefix, as in "DELAYD_", and sets nothing: it is misspelt, and ignoring it would
// switch something off in silence. Upper and lower case and "-" for "_" make no
// difference. others are variables that count and are no setting. The error never
// shows a value: it may be a secret.
func UnknownVariables(environ []string, prefix string, app *kong.Node, others ...string) error {
	known := slices.Clone(others)
	var add func(n *kong.Node)
	add = func(n *kong.Node) {
		for _, flag := range n.Flags {
			known = append(known, flag.Tag.Envs...)
		}
		for _, below := range n.Children {
			add(below)
		}
	}
	add(app)
	var faults []error
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		upper := strings.ReplaceAll(strings.ToUpper(name), "-", "_")
		if !strings.HasPrefix(upper, prefix) || slices.Contains(known, name) || serviceLink.MatchString(entry) {
			continue
		}
		meant := "; unset it"
		if near := meantBy(strings.TrimPrefix(upper, prefix), withoutPrefix(known, prefix)); near != "" {
			meant = fmt.Sprintf(", did you mean %s?", prefix+near)
		}
		faults = append(faults, fmt.Errorf("environment %s: unknown setting%s", name, meant))
	}
	return errors.Join(faults...)
}

// meantBy is the nearest name, or else the first that has all of it as words.
func meantBy(name string, names []string) string {
	if near := nearest(name, names); near != "" {
		return near
	}
	i := slices.IndexFunc(names, func(n string) bool { return strings.Contains("_"+n+"_", "_"+name+"_") })
	if i < 0 {
		return ""
	}
	return names[i]
}

func withoutPrefix(names []string, prefix string) []string {
	var rest []string
	for _, name := range names {
		if r, ok := strings.CutPrefix(name, prefix); ok {
			rest = append(rest, r)
		}
	}
	return rest
}
