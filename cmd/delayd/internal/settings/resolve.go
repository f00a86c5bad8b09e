package settings

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// Validate has nothing to say: [Read] has looked at every key.
func (f *File) Validate(*kong.Application) error { return nil }

// Resolve is what the file says of a flag, nil for nothing. kong asks for each flag
// that is not on the command line. By itself it would let the file win over the
// environment.
func (f *File) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	v, ok := f.find(parent.Node(), flag)
	if _, inEnv := variable(flag); !ok || inEnv {
		return nil, nil
	}
	token := v.token(flag)
	if err := try(flag, token); err != nil {
		return nil, fmt.Errorf("%w (from %s:%d, %s: %s)", err, f.name, v.line, flag.Name, v)
	}
	return token, nil
}

// find looks below the command first, then below the one that it belongs to, and
// at the top of the file last.
func (f *File) find(command *kong.Node, flag *kong.Flag) (value, bool) {
	if f == nil || !IsSetting(flag) {
		return value{}, false
	}
	sections := []*section{f.top}
	for _, name := range path(command) {
		below := sections[0].sections[name]
		if below == nil {
			break
		}
		sections = append([]*section{below}, sections...)
	}
	for _, s := range sections {
		if v, ok := s.values[flag.Name]; ok {
			return v, true
		}
	}
	return value{}, false
}

// path is the names that lead to a command.
func path(command *kong.Node) []string {
	if command.Parent == nil {
		return nil
	}
	return append(path(command.Parent), command.Name)
}

// variable is the variable of the environment that sets a flag. kong takes one that
// is set to nothing too.
func variable(flag *kong.Flag) (name string, ok bool) {
	for _, name := range flag.Tag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return name, true
		}
	}
	return "", false
}

// token is the value in the form in which the flag takes it.
func (v value) token(flag *kong.Flag) any {
	switch {
	case !v.many:
		return v.text
	case flag.Tag.Has(tagWords):
		return strings.Join(v.list, " ")
	case flag.Tag.Sep == -1: // each item is one, whatever is in it
		items := make([]any, len(v.list))
		for i, item := range v.list {
			items[i] = item
		}
		return items
	}
	return kong.JoinEscaped(v.list, flag.Tag.Sep)
}

// String is the value as it could be written.
func (v value) String() string {
	if v.many {
		return "[" + strings.Join(v.list, ", ") + "]"
	}
	return v.text
}

// try reads a value into nothing. The error has the same words as on the command
// line, and here it is still known where it came from.
func try(flag *kong.Flag, token any) error {
	into := reflect.New(flag.Target.Type()).Elem()
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
	}
	scan := kong.Scan().PushTyped(token, kong.FlagValueToken)
	return flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, into)
}
