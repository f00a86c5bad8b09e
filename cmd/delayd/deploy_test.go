package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/security"
)

const deployFolder = "../../deploy"

// Every setting that the files in deploy name is one of "delayd serve", so that no
// flag can be renamed and leave them behind.
func TestDeployedSettingsExist(t *testing.T) {
	t.Parallel()
	known := serveVariables(t)
	found := 0
	err := filepath.WalkDir(deployFolder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".go" || filepath.Ext(path) == ".json" {
			return err
		}
		for _, name := range regexp.MustCompile(`\bDELAYD_\w+`).FindAllString(readFile(t, path), -1) {
			found++
			if name != "DELAYD_" && !slices.Contains(known, name) {
				t.Errorf("%s: %s is no setting of delayd serve", path, name)
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d settings found in %s: %v", found, deployFolder, err)
	}
}

// serveVariables are the variables of the environment that "delayd serve" reads.
func serveVariables(t *testing.T) []string {
	t.Helper()
	parser, err := newParser(&console{in: strings.NewReader(""), out: io.Discard, err: io.Discard}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	variables := []string{security.PasswordEnv, tokenEnv}
	for _, command := range parser.Model.Children {
		if command.Name != "serve" {
			continue
		}
		for _, flag := range slices.Concat(command.Flags, parser.Model.Flags) {
			variables = append(variables, flag.Envs...)
		}
	}
	return variables
}

// The values are such as delayd takes.
func TestDeployedCommandsParse(t *testing.T) {
	for file, args := range map[string]string{
		"kubernetes/delayd.env":                 deployed(t, "kubernetes/statefulset.yaml", `(?m)^ *args: \[(.*)\]$`),
		"kubernetes-example/kustomization.yaml": deployed(t, "kubernetes/statefulset.yaml", `(?m)^ *args: \[(.*)\]$`),
		"systemd/delayd.env":                    deployed(t, "systemd/delayd.service", `(?m)^ExecStart=\S+/delayd (.*)$`),
	} {
		t.Run(file, func(t *testing.T) {
			settings := regexp.MustCompile(`(?m)^[# -]*(DELAYD_\w+)=(.*)$`).FindAllStringSubmatch(readFile(t, filepath.Join(deployFolder, file)), -1)
			if len(settings) == 0 {
				t.Fatal("no settings")
			}
			for _, s := range settings {
				t.Setenv(s[1], s[2])
			}
			if err := parse(strings.Fields(args)); err != nil {
				t.Errorf("delayd %s with %v: %v", args, settings, err)
			}
		})
	}
}

func parse(args []string) error {
	parser, err := newParser(&console{in: strings.NewReader(""), out: io.Discard, err: io.Discard}, func(int) {})
	if err != nil {
		return err
	}
	_, err = parser.Parse(args)
	return err
}

// A stop that is cut short delivers twice: who sends SIGTERM has to wait for longer
// than all that serve waits for at its end.
func TestDeployedStopsAreLongEnough(t *testing.T) {
	t.Parallel()
	for file, pattern := range map[string]string{
		"kubernetes/statefulset.yaml": `(?m)^ *terminationGracePeriodSeconds: (\d+)$`,
		"systemd/delayd.service":      `(?m)^TimeoutStopSec=(\d+)s$`,
	} {
		seconds, err := strconv.Atoi(deployed(t, file, pattern))
		if least := 2*consume.DrainTimeout + httpStopTimeout; err != nil || time.Duration(seconds)*time.Second < least {
			t.Errorf("%s: a stop has %d s, less than %v: %v", file, seconds, least, err)
		}
	}
}

// systemd does not start again what would fail again.
func TestUnitRestarts(t *testing.T) {
	t.Parallel()
	got := strings.Fields(deployed(t, "systemd/delayd.service", `(?m)^RestartPreventExitStatus=(.*)$`))
	if want := []string{strconv.Itoa(exitFenced), strconv.Itoa(exitUsage)}; !slices.Equal(got, want) {
		t.Errorf("RestartPreventExitStatus=%v, want %v", got, want)
	}
	// on-failure takes SIGHUP, SIGINT, SIGTERM and SIGPIPE for a proper end.
	if got := deployed(t, "systemd/delayd.service", `(?m)^Restart=(.*)$`); got != "always" {
		t.Errorf("Restart=%s, want always", got)
	}
}

// deployed is what the pattern's group matches in a file of deploy.
func deployed(t *testing.T, file, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(readFile(t, filepath.Join(deployFolder, file)))
	if match == nil {
		t.Fatalf("%s has nothing like %s", file, pattern)
	}
	return match[1]
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
