package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"

	"github.com/delayd-io/delayd/cmd/delayd/internal/settings"
	"github.com/delayd-io/delayd/internal/security"
	"github.com/delayd-io/delayd/levels"
)

// configFlags name the configuration file.
type configFlags struct {
	Config string `nofile:"" placeholder:"FILE" help:"Settings in YAML: the names of flags, for all commands or below the name of one."`

	settings *settings.File // nil without a file
}

// BeforeResolve is called by kong when it has read the command line and the
// environment, and is about to look for the flags that are still not set.
func (c *cli) BeforeResolve(ctx *kong.Context) error {
	if err := settings.UnknownVariables(os.Environ(), envPrefix+"_", ctx.Model.Node, secretVariables...); err != nil {
		return err
	}
	name := c.Config // by the environment
	for _, path := range ctx.Path {
		if path.Flag != nil && path.Flag.Name == "config" {
			name = ctx.Value(path).String()
		}
	}
	if name == "" {
		return nil
	}
	var err error
	if c.settings, err = settings.Read(name, ctx.Model); err != nil {
		return err
	}
	ctx.AddResolver(c.settings)
	return nil
}

// envPrefix begins the variables of the environment that are settings.
const envPrefix = "DELAYD"

// secretVariables hold what is nowhere else to be seen.
var secretVariables = []string{security.PasswordEnv, tokenEnv}

// printConfig writes all settings of the service. What they cannot be together is
// the error: the error beside them says so.
func (c *serveCmd) printConfig(w io.Writer, file *settings.File, parsed *kong.Context) error {
	var page bytes.Buffer
	fmt.Fprintf(&page, "# %s: the settings in force, and where each comes from.\n", parsed.Selected().FullPath())
	for _, flag := range parsed.Selected().Flags {
		if !settings.IsSetting(flag) {
			continue
		}
		if err := writeSetting(&page, flag, settings.Origin(parsed, file, flag)); err != nil {
			return err
		}
	}
	for _, name := range secretVariables {
		if os.Getenv(name) != "" {
			fmt.Fprintf(&page, "# environment %s: a secret, which is not shown\n", name)
		}
	}
	if _, err := page.WriteTo(w); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := c.security().Validate(); err != nil {
		return usageError{err}
	}
	return nil
}

// writeSetting writes a line of YAML. A setting that is not set cannot be written as
// one, and becomes a comment.
func writeSetting(w io.Writer, flag *kong.Flag, origin string) error {
	if origin == settings.NotSet {
		_, err := fmt.Fprintf(w, "# %s: %s\n", flag.Name, origin)
		return err
	}
	key, val := new(yaml.Node), new(yaml.Node)
	key.SetString(flag.Name)
	if err := val.Encode(settingText(flag)); err != nil {
		return fmt.Errorf("print --%s: %w", flag.Name, err)
	}
	if val.Kind == yaml.SequenceNode {
		val.Style = yaml.FlowStyle
	}
	val.LineComment = origin
	line, err := yaml.Marshal(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{key, val}})
	if err == nil {
		_, err = w.Write(line)
	}
	return err
}

// settingText is the value of a flag in the form that the flag reads.
func settingText(flag *kong.Flag) any {
	switch v := flag.Target.Interface().(type) {
	case levels.Names:
		return v.Prefix
	case brokerList:
		return []string(v)
	case time.Duration:
		return offOr(flag, levels.FormatDelay(v))
	case string:
		return offOr(flag, v)
	case fmt.Stringer:
		return v.String()
	default:
		return v
	}
}

// offOr is off where that is how a flag reads the value that it has, as --http and
// --purge-after do, and else text.
func offOr(flag *kong.Flag, text string) string {
	const off = "off"
	into := reflect.New(flag.Target.Type()).Elem()
	scan := kong.Scan().PushTyped(off, kong.FlagValueToken)
	err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, into)
	if err == nil && into.Equal(flag.Target) {
		return off
	}
	return text
}
