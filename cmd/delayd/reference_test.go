package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/delayd-io/delayd/cmd/delayd/internal/settings"
)

//go:generate go test . -run ^TestConfigurationPage$ -update

// referencePage is written by people down to referenceMark, and below it from the
// flags.
const (
	referencePage = "../../docs/configuration.md"
	referenceMark = "<!-- From here on the page is written from the code, by \"go generate ./cmd/delayd\". -->\n"
)

// TestConfigurationPage fails where the page does not say what the flags are.
func TestConfigurationPage(t *testing.T) {
	// A default is the home of whoever runs this.
	t.Setenv("HOME", "~")
	t.Setenv("XDG_DATA_HOME", "")
	parser, err := newParser(&console{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	head, have, ok := strings.Cut(string(page), referenceMark)
	if !ok {
		t.Fatalf("%s has no line\n%s", referencePage, referenceMark)
	}
	want := reference(parser.Model)
	if *update {
		if err := os.WriteFile(referencePage, []byte(head+referenceMark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%s is out of date; \"go generate ./cmd/delayd\" renews it (-code +page):\n%s", referencePage, diff)
	}
}

// manyCommands is in how many commands a flag has to be to be described once.
const manyCommands = 3

// reference is all flags of all commands. Those that many commands have come first.
func reference(app *kong.Application) string {
	var page strings.Builder
	commands := app.Leaves(true)
	shared := sharedFlags(commands)

	page.WriteString("\n## Flags of every command\n\n" + tableHead)
	for _, flag := range app.Flags {
		if flag != app.HelpFlag {
			page.WriteString(row(flag))
		}
	}
	page.WriteString("\n## Flags of several commands\n\nEach command below names those that it has.\n\n" + tableHead)
	told := map[string]bool{}
	for _, command := range commands {
		for _, flag := range command.Flags {
			if r := row(flag); shared[r] && !told[r] {
				told[r] = true
				page.WriteString(r)
			}
		}
	}
	for _, command := range commands {
		writeCommand(&page, command, shared)
	}
	return page.String()
}

// sharedFlags are the rows that many commands have. Of one name there is one row at
// most, that of the most commands: which one is meant would not be clear.
func sharedFlags(commands []*kong.Node) map[string]bool {
	count := map[string]int{}   // row: how many commands have it
	most := map[string]string{} // name: the row that the most have
	for _, command := range commands {
		for _, flag := range command.Flags {
			r := row(flag)
			if count[r]++; count[r] > count[most[flag.Name]] {
				most[flag.Name] = r
			}
		}
	}
	shared := map[string]bool{}
	for _, r := range most {
		shared[r] = count[r] >= manyCommands
	}
	return shared
}

func writeCommand(page *strings.Builder, command *kong.Node, shared map[string]bool) {
	fmt.Fprintf(page, "\n## %s\n\n%s\n", command.FullPath(), cell(command.Help))
	if len(command.Positional) > 0 {
		page.WriteString("\n| argument | meaning |\n|---|---|\n")
		for _, arg := range command.Positional {
			fmt.Fprintf(page, "| `%s` | %s |\n", arg.Summary(), cell(arg.Help))
		}
	}
	var own, others strings.Builder
	for _, flag := range command.Flags {
		if shared[row(flag)] {
			fmt.Fprintf(&others, ", `--%s`", flag.Name)
		} else {
			own.WriteString(row(flag))
		}
	}
	if own.Len() > 0 {
		page.WriteString("\n" + tableHead + own.String())
	}
	if others.Len() > 0 {
		fmt.Fprintf(page, "\nAnd of those of [several commands](#flags-of-several-commands): %s.\n", strings.TrimPrefix(others.String(), ", "))
	}
}

const tableHead = "| flag | environment | takes | default | meaning |\n|---|---|---|---|---|\n"

// row is what there is to know of a flag.
func row(flag *kong.Flag) string {
	name := "`--" + flag.Name + "`"
	if flag.Short != 0 {
		name = fmt.Sprintf("`-%c`, %s", flag.Short, name)
	}
	var envs []string
	for _, env := range flag.Tag.Envs {
		envs = append(envs, "`"+env+"`")
	}
	byDefault := ""
	switch {
	case flag.Default != "":
		byDefault = "`" + flag.Default + "`"
	case flag.IsBool():
		byDefault = "`false`"
	case flag.Required:
		byDefault = "has to be set"
	}
	help := cell(strings.ReplaceAll(flag.Help, " (default: "+flag.Default+")", ""))
	if !settings.IsSetting(flag) && len(envs) == 0 {
		help += " On the command line alone."
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", name, strings.Join(envs, ", "), cell(takes(flag)), byDefault, help)
}

// takes is what a flag allows, in the words in which it refuses anything else.
func takes(flag *kong.Flag) string {
	if flag.IsBool() {
		return "true or false"
	}
	probes := []string{"?"}
	if flag.Target.Kind() == reflect.Slice || flag.Tag.Has("words") {
		probes = []string{"", "?"} // without any the refusal is of all of them
	}
	for _, wrong := range probes {
		into := reflect.New(flag.Target.Type()).Elem()
		if into.Kind() == reflect.Pointer {
			into.Set(reflect.New(into.Type().Elem()))
		}
		scan := kong.Scan().PushTyped(wrong, kong.FlagValueToken)
		err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, into)
		if err == nil {
			continue
		}
		words := err.Error()
		words = words[max(strings.LastIndex(words, "; ")+2, strings.LastIndex(words, `": `)+3, 0):]
		return strings.TrimPrefix(strings.TrimPrefix(words, "write "), "use ")
	}
	return flag.FormatPlaceHolder() // anything
}

// cell keeps text from ending the cell of a table that it stands in.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "\n", " ").Replace(text)
}

// What the hand-written part of the page shows is taken by the service, and what it
// says that the service prints is printed.
func TestConfigurationPageIsTrue(t *testing.T) {
	page, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	files, consoles := 0, 0
	for _, block := range blocks(string(page)) {
		kind, text, _ := strings.Cut(block, "\n")
		switch kind {
		case "yaml":
			files++
			if _, _, stderr := runDelayd(t, "", "serve", "--print-config", "--config", configFile(t, text)); stderr != "" {
				t.Errorf("%s\nin\n%s", stderr, text)
			}
		case "console":
			consoles++
			command, output, _ := strings.Cut(text, "\n")
			checkConsole(t, command, output)
		}
	}
	if files < 6 || consoles != 1 {
		t.Errorf("%d files and %d commands found", files, consoles)
	}
}

// blocks are the code blocks of a page, each from the word behind its fence on.
func blocks(page string) []string {
	var found []string
	for i, part := range strings.Split(page, "```") {
		if i%2 == 1 {
			found = append(found, part)
		}
	}
	return found
}

// checkConsole runs a command as a shell would in the folder above all, and looks
// for each line that it is said to print.
func checkConsole(t *testing.T, command, output string) {
	t.Helper()
	t.Chdir("../..")
	words, err := splitWords(strings.TrimPrefix(command, "$ "))
	if err != nil {
		t.Fatal(err)
	}
	for words[0] != "delayd" {
		name, value, _ := strings.Cut(words[0], "=")
		t.Setenv(name, value)
		words = words[1:]
	}
	printed := succeed(t, "", words[1:]...)
	for line := range strings.Lines(output) {
		if !strings.Contains(printed, "\n"+line) {
			t.Errorf("%s\ndoes not print %s but\n%s", command, line, printed)
		}
	}
}

// The example is one that every command takes, and that the page shows where to find.
func TestExampleConfig(t *testing.T) {
	const example = "../../docs/delayd.yaml"
	page := succeed(t, "", "serve", "--print-config", "--config", example)
	for setting, want := range map[string]string{
		"brokers": "['kafka-1.example.com:9093', 'kafka-2.example.com:9093']", "tls": "true", "sasl": "scram-sha-512",
		"purge-after": "1h", "give-up": "2d", "deny-target": "[audit.*]", "levels": "1s 5s 10s 30s 1m 5m 10m 30m 1h 2h 1d",
	} {
		if got, from := printed(t, page, setting); got != want || !strings.HasPrefix(from, example+":") {
			t.Errorf("%s is %s from %s, want %s from the file", setting, got, from, want)
		}
	}
	parser, err := newParser(&console{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse([]string{"admin", "provision", "--config", example})
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.Model.Target.Addr().Interface().(*cli).Admin.Provision; got.Partitions != 12 || got.Replicas != 3 || !got.TLS {
		t.Errorf("provision: %+v", got)
	}
}
