package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"
)

// maxSize bounds what is read of a file, in bytes: all settings there are, each
// with a page of comment, are a tenth of it.
const maxSize = 1 << 20

// File is a configuration file in which every key is a setting that there is.
// Whether the values are is found when a command asks for them.
type File struct {
	name string
	top  *section
}

// section is the settings at one place of the file: at its top, or below the name
// of a command.
type section struct {
	values   map[string]value
	sections map[string]*section // by the command's name
}

// value is what the file says of one setting.
type value struct {
	line int
	text string   // as written
	list []string // instead of text, where it is a list
	many bool     // it is a list
}

// Read reads a file for a program. The error tells of all that is wrong with it.
func Read(name string, app *kong.Application) (*File, error) {
	data, err := readAll(name)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	root, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("--config %s: %w", name, err)
	}
	r := &reader{name: name}
	f := &File{name: name, top: r.section(root, app.Node)}
	return f, errors.Join(r.faults...)
}

func readAll(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = fmt.Errorf("%s: larger than %d bytes", name, maxSize)
	}
	return data, err
}

// parse returns what is at the top of a file, nil where it is empty.
func parse(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var document yaml.Node
	switch err := dec.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New(`a second document begins in it; write one, without "---" in between`)
	}
	return document.Content[0], nil
}

// reader checks a file against the commands and flags that there are.
type reader struct {
	name   string
	faults []error
}

func (r *reader) fault(at *yaml.Node, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s:%d: "+format, append([]any{r.name, at.Line}, args...)...))
}

// section reads what is below the name of a command, or at the top of the file.
// at is nil where nothing is.
func (r *reader) section(at *yaml.Node, command *kong.Node) *section {
	s := &section{values: map[string]value{}, sections: map[string]*section{}}
	if at == nil || isNull(at) {
		return s
	}
	if at = target(at); at.Kind != yaml.MappingNode {
		r.fault(at, "write settings, as in \"brokers: kafka:9092\"")
		return s
	}
	known := settingsOf(command)
	seen := map[string]int{} // key: its line
	for i := 0; i+1 < len(at.Content); i += 2 {
		key, val := at.Content[i], target(at.Content[i+1])
		if line := seen[key.Value]; line != 0 {
			r.fault(key, "%s is set in line %d already; leave one out", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		below := child(command, key.Value)
		flags := known[key.Value]
		switch {
		case below != nil && (val.Kind == yaml.MappingNode || flags == nil && isNull(val)):
			s.sections[key.Value] = r.section(val, below)
		case flags != nil:
			if v, ok := r.value(key, val, flags); ok {
				s.values[key.Value] = v
			}
		case below != nil:
			r.fault(key, "%s is a command; write its settings below it, each indented", key.Value)
		default:
			r.fault(key, "%s", unknown(key.Value, command, known))
		}
	}
	return s
}

// value reads what is set. flags are those of that name, of one command or several.
func (r *reader) value(key, val *yaml.Node, flags []*kong.Flag) (value, bool) {
	v := value{line: key.Line}
	switch {
	case isNull(val):
		r.fault(key, "%s has no value; write one, or leave the key out", key.Value)
		return v, false
	case val.Kind == yaml.ScalarNode:
		v.text = val.Value
		return v, true
	case val.Kind != yaml.SequenceNode:
		r.fault(key, "%s: write a value, and nothing below it", key.Value)
		return v, false
	}
	for _, flag := range flags {
		if !takesList(flag) {
			r.fault(key, "%s: write one value instead of a list", key.Value)
			return v, false
		}
	}
	v.many = true
	for _, item := range val.Content {
		if item = target(item); item.Kind != yaml.ScalarNode || isNull(item) {
			r.fault(item, "%s: write a value for each item of the list", key.Value)
			return v, false
		}
		v.list = append(v.list, item.Value)
	}
	return v, true
}

// target is the node that an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
