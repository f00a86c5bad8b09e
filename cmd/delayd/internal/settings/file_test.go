package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// program is one with commands and flags of every kind.
type program struct {
	Config string `nofile:""`
	Serve  struct {
		Brokers []string
		Levels  string `words:""`
		Purge   string `default:"10m"`
		Check   bool   `nofile:"" env:"-"`
		Hidden  bool   `hidden:""`

		PasswordFile string
	} `cmd:""`
	Levels struct {
		Levels string `words:""`
	} `cmd:""`
	Admin struct {
		Provision struct {
			Brokers    []string `sep:"none"`
			Partitions int      `default:"4"`
		} `cmd:""`
		Nothing struct{} `cmd:""`
	} `cmd:""`
	Secret struct {
		Inner string
	} `cmd:"" hidden:""`
}

func newProgram(t *testing.T) (*program, *kong.Kong) {
	t.Helper()
	p := new(program)
	parser, err := kong.New(p, kong.Name("prog"), kong.DefaultEnvars("PROG"))
	if err != nil {
		t.Fatal(err)
	}
	return p, parser
}

func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What is wrong with a file is reported with its line, and all of it at once.
func TestFilesThatAreWrong(t *testing.T) {
	for _, tc := range []struct{ name, file, want string }{
		{"a key that is none", "brokrs: a\n", `F:1: unknown setting "brokrs", did you mean "brokers"?`},
		{"underscores", "\npassword_file: a\n", `F:2: unknown setting "password_file", did you mean "password-file"?`},
		{"a command that is none", "sevre:\n  purge: 1h\n", `F:1: unknown setting "sevre", did you mean "serve"?`},
		{"below a command", "serve:\n  purg: 1h\n", `F:2: unknown setting "purg" of "prog serve", did you mean "purge"?`},
		{"another command's", "serve:\n  partitions: 3\n", `F:2: "partitions" is no setting of "prog serve", but of "prog admin provision"`},
		{"below a command without any", "admin:\n  nothing:\n    x: 1\n", `F:3: unknown setting "x" of "prog admin nothing", which has none`},
		{"two at once", "xxxxx: 1\nserve:\n  yyyyy: 2\n", "F:1: unknown setting \"xxxxx\"\nF:3: unknown setting \"yyyyy\" of \"prog serve\""},
		{"a secret", "password: hush\n", `F:1: "password" is a secret, which does not belong here; name a file that holds it with password-file`},
		{"a secret with an underscore", "serve: {pass_word: hush, password: hush}\n", `F:1: unknown setting "pass_word" of "prog serve"` + "\n" +
			`F:1: "password" is a secret, which does not belong here; name a file that holds it with password-file`},
		{"the file's own name", "config: f.yaml\n", `F:1: unknown setting "config"`},
		{"what asks for something", "serve: {check: true}\n", `F:1: unknown setting "check" of "prog serve"`},
		{"hidden flag", "hidden: true\n", `F:1: unknown setting "hidden"`},
		{"hidden command", "secret:\n  inner: x\n", `F:1: unknown setting "secret"`},
		{"a flag of a hidden command", "inner: x\n", `F:1: unknown setting "inner"`},
		{"twice", "purge: 1h\nbrokers: a\npurge: 2h\n", `F:3: purge is set in line 1 already; leave one out`},
		{"no value", "purge:\n", `F:1: purge has no value; write one, or leave the key out`},
		{"a list of one", "purge: [1h]\n", `F:1: purge: write one value instead of a list`},
		{"a list in a list", "brokers: [a, [b]]\n", `F:1: brokers: write a value for each item of the list`},
		{"nothing in a list", "brokers:\n- a\n-\n", `F:3: brokers: write a value for each item of the list`},
		{"settings below a setting", "purge:\n  after: 1h\n", `F:1: purge: write a value, and nothing below it`},
		{"a value for a command", "serve: 1h\n", `F:1: serve is a command; write its settings below it, each indented`},
		{"a list", "- purge\n", `F:1: write settings, as in "brokers: kafka:9092"`},
		{"a word", "purge\n", `F:1: write settings, as in "brokers: kafka:9092"`},
		{"a list below a command", "serve: [purge]\n", `F:1: serve is a command; write its settings below it, each indented`},
		{"a merge", "serve: &s {purge: 1h}\nadmin: {provision: {<<: *s}}\n", `F:2: unknown setting "<<" of "prog admin provision"`},
		{"a loop", "serve: &s\n  admin: *s\n", `F:2: unknown setting "admin" of "prog serve"`},
		{"no YAML", "purge: [1h\n", "--config F: "},
		{"a tab", "serve:\n\tpurge: 1h\n", "--config F: "},
		{"two documents", "purge: 1h\n---\npurge: 2h\n", `--config F: a second document begins in it; write one, without "---" in between`},
		{"too large", "#" + strings.Repeat(" ", maxSize), "larger than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, parser := newProgram(t)
			name := write(t, tc.file)
			_, err := Read(name, parser.Model)
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.ReplaceAll(err.Error(), name, "F")
			if !strings.Contains(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
			if strings.Contains(got, "hush") {
				t.Errorf("the secret is shown: %s", got)
			}
		})
	}
}

func TestNoSuchFile(t *testing.T) {
	_, parser := newProgram(t)
	_, err := Read(filepath.Join(t.TempDir(), "none"), parser.Model)
	if err == nil || !strings.HasPrefix(err.Error(), "--config: open ") {
		t.Errorf("error %v", err)
	}
}

// The nearer a setting is to the command, the more it counts, and what is written
// as a list arrives as one.
func TestFilesThatAreRight(t *testing.T) {
	for _, tc := range []struct {
		name, file, args string
		want             func(*program) string
		value            string
	}{
		{"nothing", "", "serve", func(p *program) string { return p.Serve.Purge }, "10m"},
		{"comments alone", "# none\n", "serve", func(p *program) string { return p.Serve.Purge }, "10m"},
		{"at the top", "purge: 1h\n", "serve", func(p *program) string { return p.Serve.Purge }, "1h"},
		{"below the command", "serve:\n  purge: 2h\npurge: 1h\n", "serve", func(p *program) string { return p.Serve.Purge }, "2h"},
		{"below nothing", "serve:\npurge: 1h\n", "serve", func(p *program) string { return p.Serve.Purge }, "1h"},
		{"below a group of commands", "admin: {brokers: b}\nbrokers: a\n", "admin provision", func(p *program) string { return strings.Join(p.Admin.Provision.Brokers, "|") }, "b"},
		{"below another command", "admin: {brokers: b}\nbrokers: a\n", "serve", func(p *program) string { return strings.Join(p.Serve.Brokers, "|") }, "a"},
		{"below all of them", "admin: {provision: {brokers: c}, brokers: b}\n", "admin provision", func(p *program) string { return strings.Join(p.Admin.Provision.Brokers, "|") }, "c"},
		{"a list", "brokers: [a, 'b,c']\n", "serve", func(p *program) string { return strings.Join(p.Serve.Brokers, "|") }, "a|b,c"},
		{"a list of what has no commas", "brokers: [a, 'b,c']\n", "admin provision", func(p *program) string { return strings.Join(p.Admin.Provision.Brokers, "|") }, "a|b,c"},
		{"commas", "brokers: a,b\n", "serve", func(p *program) string { return strings.Join(p.Serve.Brokers, "|") }, "a|b"},
		{"words", "levels: [1s, 5s]\n", "serve", func(p *program) string { return p.Serve.Levels }, "1s 5s"},
		{"a setting that is called like a command", "levels: 1s 2s\n", "levels", func(p *program) string { return p.Levels.Levels }, "1s 2s"},
		{"a command that is called like a setting", "levels: {levels: 1s 2s}\n", "levels", func(p *program) string { return p.Levels.Levels }, "1s 2s"},
		{"an alias", "serve: {purge: &d 3h, levels: *d}\n", "serve", func(p *program) string { return p.Serve.Levels }, "3h"},
		{"a word that YAML knows", "purge: off\n", "serve", func(p *program) string { return p.Serve.Purge }, "off"},
		{"empty", "purge: ''\n", "serve", func(p *program) string { return p.Serve.Purge }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, parser := newProgram(t)
			f, err := Read(write(t, tc.file), parser.Model)
			if err != nil {
				t.Fatal(err)
			}
			if err := kong.Resolvers(f).Apply(parser); err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(strings.Fields(tc.args)); err != nil {
				t.Fatal(err)
			}
			if got := tc.want(p); got != tc.value {
				t.Errorf("got %q, want %q", got, tc.value)
			}
		})
	}
}

// FuzzRead looks for files that end the program.
func FuzzRead(f *testing.F) {
	f.Add("brokers: [a, b]\nserve:\n  purge: &x 1h\n  levels: *x\n")
	f.Add("a: &a [*a]\n")
	f.Add("? [x]\n: y\n--- z")
	f.Fuzz(func(t *testing.T, content string) {
		_, parser := newProgram(t)
		name := write(t, content)
		if file, err := Read(name, parser.Model); err == nil {
			kong.Resolvers(file).Apply(parser)
			parser.Parse([]string{"serve"}) // refused or not
		}
	})
}

// A variable that sets nothing is reported with the one that was meant, and never its value.
func TestVariables(t *testing.T) {
	_, parser := newProgram(t)
	for _, tc := range []struct{ name, entry, want string }{
		{"a setting", "PROG_PURGE=1h", ""},
		{"of another command", "PROG_PARTITIONS=3", ""},
		{"of a hidden command", "PROG_INNER=x", ""},
		{"a secret", "PROG_PASSWORD=hush", ""},
		{"somebody else's", "PROGRAM_PURGE=1h", ""},
		{"a letter too many", "PROG_PURGES=hush", "environment PROG_PURGES: unknown setting, did you mean PROG_PURGE?"},
		{"letters swapped", "PROG_LEVLES=hush", "environment PROG_LEVLES: unknown setting, did you mean PROG_LEVELS?"},
		{"no underscore", "PROG_PASSWORDFILE=hush", "environment PROG_PASSWORDFILE: unknown setting, did you mean PROG_PASSWORD_FILE?"},
		{"a hyphen", "PROG-PURGE=hush", "environment PROG-PURGE: unknown setting, did you mean PROG_PURGE?"},
		{"lower case", "prog_purge=hush", "environment prog_purge: unknown setting, did you mean PROG_PURGE?"},
		{"a part of it", "PROG_FILE=hush", "environment PROG_FILE: unknown setting, did you mean PROG_PASSWORD_FILE?"},
		{"like nothing", "PROG_WHATEVER_IT_IS=hush", "environment PROG_WHATEVER_IT_IS: unknown setting; unset it"},
		{"what asks for something", "PROG_CHECK=true", "environment PROG_CHECK: unknown setting"},
		{"a host of Kubernetes", "PROG_SERVICE_HOST=10.0.0.1", ""},
		{"a port", "PROG_SERVICE_PORT=80", ""},
		{"a named port", "PROG_SERVICE_PORT_HTTP=80", ""},
		{"a link", "PROG_PORT=tcp://10.0.0.1:80", ""},
		{"a port that is no link", "PROG_PORT=80", "environment PROG_PORT: unknown setting"},
		{"a link's address", "PROG_PORT_80_TCP_ADDR=10.0.0.1", ""},
		{"of a longer name", "PROG_METRICS_SERVICE_HOST=10.0.0.1", ""},
		{"a link of a longer name", "PROG_METRICS_PORT_8080_TCP_PROTO=tcp", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if err := UnknownVariables([]string{"HOME=/", tc.entry}, "PROG_", parser.Model.Node, "PROG_PASSWORD"); err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, tc.want) || tc.want == "" && got != "" || strings.Contains(got, "hush") {
				t.Errorf("%s: got %q, want %q", tc.entry, got, tc.want)
			}
		})
	}
}
