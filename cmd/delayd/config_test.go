package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/delayd-io/delayd/cmd/delayd/internal/settings"
)

// configFile writes one.
func configFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "delayd.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// printed is a setting as --print-config shows it: its value and its origin.
func printed(t *testing.T, page, setting string) (value, origin string) {
	t.Helper()
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, setting+": "); ok {
			value, origin, _ = strings.Cut(strings.TrimSpace(rest), " # ")
			return value, origin
		}
		if rest, ok := strings.CutPrefix(line, "# "+setting+": "); ok {
			return "", strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %s in\n%s", setting, page)
	return "", ""
}

// The command line counts before the environment, that before the file, that
// before the default: whatever else is there, and for every kind of flag.
func TestWhatCountsFirst(t *testing.T) {
	kinds := []struct {
		setting             string
		flag, env, file     string // what each of them says
		onFlag, onEnv, byFF string // how that is printed
		byDefault           string
	}{
		{"rounding", "up", "down", "nearest", "up", "down", "nearest", "nearest"},
		{"log-level", "warn", "error", "debug", "warn", "error", "debug", "info"},
		{"give-up", "1h", "2h", "3h", "1h", "2h", "3h", "1d"},
		{"purge-after", "0", "off", "1m", `0s`, `"off"`, "1m", "10m"},
		{"partitions", "1", "2", "3", "1", "2", "3", "4"},
		{"brokers", "a:1", "b:1,b:2", "[c:1, c:2]", "['a:1']", "['b:1', 'b:2']", "['c:1', 'c:2']", ""},
		{"allow-target", "a*", "b*,c*", "[d*, e*]", "[a*]", "[b*, c*]", "[d*, e*]", ""},
		{"levels", "1s", "2s 3s", "[4s, 5s]", "1s", "2s 3s", "4s 5s", "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"},
		{"pprof", "false", "true", "false", "false", "true", "false", "false"},
		{"no-provision", "true", "false", "true", "true", "false", "true", "false"},
		{"prefix", "a", "b", "c", "a", "b", "c", "delay"},
		{"instance", "a", "", "c", "a", `""`, "c", ""}, // a variable that is set to nothing is set
	}
	for _, k := range kinds {
		env := "DELAYD_" + strings.ToUpper(strings.ReplaceAll(k.setting, "-", "_"))
		for set := range 8 {
			onFlag, onEnv, inFile := set&1 != 0, set&2 != 0, set&4 != 0
			t.Run(fmt.Sprintf("%s flag=%v env=%v file=%v", k.setting, onFlag, onEnv, inFile), func(t *testing.T) {
				args := []string{"serve", "--print-config"}
				value, origin := k.byDefault, settings.FromDefault
				if value == "" {
					origin = settings.NotSet
				}
				if inFile {
					name := configFile(t, "# a setting\n"+k.setting+": "+k.file+"\n")
					args = append(args, "--config", name)
					value, origin = k.byFF, name+":2"
				}
				if onEnv {
					t.Setenv(env, k.env)
					value, origin = k.onEnv, "environment "+env
				}
				if onFlag {
					args = append(args, "--"+k.setting+"="+k.flag)
					value, origin = k.onFlag, settings.FromFlag
				}
				gotValue, gotOrigin := printed(t, succeed(t, "", args...), k.setting)
				if gotValue != value || gotOrigin != origin {
					t.Errorf("%s from %s, want %s from %s", gotValue, gotOrigin, value, origin)
				}
			})
		}
	}
}

// The file can be named by the environment too, and the command line counts first
// there as well.
func TestWhichFileCounts(t *testing.T) {
	one, two := configFile(t, "prefix: one\n"), configFile(t, "prefix: two\n")
	t.Setenv("DELAYD_CONFIG", one)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--print-config"}, "one"},
		{[]string{"serve", "--print-config", "--config", two}, "two"},
		{[]string{"--config", two, "serve", "--print-config"}, "two"},
		{[]string{"serve", "--print-config", "--config="}, "delay"},
	} {
		if got, _ := printed(t, succeed(t, "", tc.args...), "prefix"); got != tc.want {
			t.Errorf("%q: prefix %s, want %s", tc.args, got, tc.want)
		}
	}
	if got := succeed(t, "", "levels", "10s"); !strings.Contains(got, "one.level.10s") {
		t.Errorf("another command: %s", got)
	}
}

// A wrong value is told in the words in which the command line tells it, with the
// place that it is at.
func TestWrongValuesInTheFile(t *testing.T) {
	for _, tc := range []struct{ setting, value string }{
		{"purge-after", "never"},
		{"give-up", "0s"},
		{"partitions", "0"},
		{"sasl", "kerberos"},
		{"log-level", "loud"},
		{"rounding", "sideways"},
		{"delivery", "maybe"},
		{"levels", "1s 1s"},
		{"prefix", "a b"},
		{"brokers", "kafka"},
		{"http", "8080"},
		{"default-target", "a/b"},
		{"tls", "perhaps"},
	} {
		_, _, want := runDelayd(t, "", "serve", "--"+tc.setting+"="+tc.value)
		want, help, _ := strings.Cut(want, "\n")
		name := configFile(t, "log-format: auto\nserve:\n  "+tc.setting+": "+tc.value+"\n")
		code, stdout, stderr := runDelayd(t, "", "serve", "--config", name)
		want = fmt.Sprintf("%s (from %s:3, %s: %s)\n%s", want, name, tc.setting, tc.value, help)
		if diff := cmp.Diff(want, stderr); diff != "" || code != exitUsage || stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr (-want +got):\n%s", tc.setting, code, stdout, diff)
		}
		// What counts before it is not searched there.
		if tc.setting != "brokers" {
			continue
		}
		if _, _, stderr := runDelayd(t, "", "serve", "--config", name, "--brokers", "a:1", "--print-config"); stderr != "" {
			t.Errorf("%s: the command line does not count: %s", tc.setting, stderr)
		}
	}
}

func TestWrongFiles(t *testing.T) {
	for _, tc := range []struct{ file, want string }{
		{"serve:\n  purge-aftr: 1h\n", `delayd: F:2: unknown setting "purge-aftr" of "delayd serve", did you mean "purge-after"?` + "\n"},
		{"sasl_password: hush\n", `delayd: F:1: "sasl_password" is a secret, which does not belong here; name a file that holds it with sasl-password-file` + "\n"},
		{"http-token: hush\n", `delayd: F:1: "http-token" is a secret, which does not belong here; name a file that holds it with http-token-file` + "\n"},
		{"tail:\n  partitions: 3\n", `delayd: F:2: "partitions" is no setting of "delayd tail", but of "delayd serve", "delayd admin provision"`},
		{"print-config: true\n", `delayd: F:1: unknown setting "print-config"`},
	} {
		name := configFile(t, tc.file)
		code, _, stderr := runDelayd(t, "", "serve", "--config", name)
		stderr = strings.ReplaceAll(stderr, name, "F")
		if code != exitUsage || !strings.HasPrefix(stderr, tc.want) || strings.Contains(stderr, "hush") {
			t.Errorf("exit code %d, stderr %s\nwant %s", code, stderr, tc.want)
		}
	}
}

// What is printed can be read again, and says the same, whatever is set.
func TestPrintedConfigReadsBack(t *testing.T) {
	t.Setenv("DELAYD_GIVE_UP", "90m")
	t.Setenv("DELAYD_HTTP_TOKEN", "hush")
	for _, args := range [][]string{
		nil,
		{"--config", "../../docs/delayd.yaml"},
		{"--http=off", "--purge-after=off", "--missing-target-wait=0", "--instance=# 1: yes", "--data=", "--deny-target=a*", "--deny-target=b,c"},
		{"--brokers=[::1]:9092,k:1", "--tls", "--sasl=plain", "--sasl-user=null", "--sasl-password-file=false", "--purge-after=0", "--levels=60s 24h"},
	} {
		page := succeed(t, "", append([]string{"serve", "--print-config"}, args...)...)
		again := succeed(t, "", "serve", "--print-config", "--config", configFile(t, page))
		if diff := cmp.Diff(withoutComments(t, page), withoutComments(t, again)); diff != "" {
			t.Errorf("%q: what is read back differs (-printed +again):\n%s", args, diff)
		}
		if strings.Contains(page, "hush") || !strings.Contains(page, "# environment DELAYD_HTTP_TOKEN: a secret, which is not shown\n") {
			t.Errorf("%q: secrets are shown, or not told of:\n%s", args, page)
		}
	}
}

func withoutComments(t *testing.T, page string) map[string]any {
	t.Helper()
	var values map[string]any
	if err := yaml.Unmarshal([]byte(page), &values); err != nil {
		t.Fatalf("%v in\n%s", err, page)
	}
	return values
}

// Every flag of the service is printed, in a form that the flag reads as what it is.
func TestEveryDefaultReadsBack(t *testing.T) {
	parser, err := newParser(&console{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	page := succeed(t, "", "serve", "--print-config")
	for _, flag := range parsed.Selected().Flags {
		if !settings.IsSetting(flag) {
			continue
		}
		printed(t, page, flag.Name)
		if !flag.HasDefault {
			continue
		}
		into := reflect.New(flag.Target.Type()).Elem()
		scan := kong.Scan().PushTyped(fmt.Sprint(settingText(flag)), kong.FlagValueToken)
		if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, into); err != nil {
			t.Errorf("--%s is printed as %v, which it does not read: %v", flag.Name, settingText(flag), err)
		} else if !reflect.DeepEqual(into.Interface(), flag.Target.Interface()) {
			t.Errorf("--%s is printed as %v, which it reads as %v instead of %v", flag.Name, settingText(flag), into, flag.Target)
		}
	}
}

// Settings that cannot be together are printed, and refused.
func TestPrintedConfigIsChecked(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--tls-ca=ca.pem"}, "--tls-ca ca.pem: it is for --tls"},
		{[]string{"--allow-target=["}, "--allow-target"},
	} {
		code, stdout, stderr := runDelayd(t, "", append([]string{"serve", "--print-config"}, tc.args...)...)
		if code != exitUsage || !strings.Contains(stderr, tc.want) || !strings.Contains(stdout, "\nprefix: delay # default\n") {
			t.Errorf("%q: exit code %d, stderr %s, stdout\n%s", tc.args, code, stderr, stdout)
		}
	}
}

// The service runs with what is in the file.
func TestServeByFile(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	serve := start(t, "serve", "--config", configFile(t, "brokers: ["+broker+"]\nlevels: [1s]\nserve:\n  http: 127.0.0.1:0\n  log-format: json\n  instance: by-file\n"))
	line := serve.err.await(t, "starting")
	for _, want := range []string{broker, `"instance":"by-file"`, `"levels":"1s"`} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	serve.err.await(t, "partitions assigned", "delay.forwarder")
	if code := serve.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// A mapping in the file is the settings of a command, so no flag can be one.
func TestNoFlagIsAMapping(t *testing.T) {
	parser, err := newParser(&console{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, leaf := range parser.Model.Leaves(true) {
		for _, flag := range leaf.Flags {
			if flag.Target.Kind() == reflect.Map {
				t.Errorf("%s --%s is a mapping, which the file takes for the settings of a command", leaf.FullPath(), flag.Name)
			}
			names = append(names, flag.Name)
		}
	}
	if !slices.Contains(names, "brokers") {
		t.Error("no flags were looked at")
	}
}
