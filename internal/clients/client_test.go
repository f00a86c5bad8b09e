//go:build realkafka

package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/delayd-io/delayd/internal/kafkatest"
)

// client is a Kafka client that is not ours, installed and ready.
type client interface {
	// demo is the program that the docs show.
	demo(t *testing.T, target string) *exec.Cmd
	// send writes records with a codec, and in one transaction for each topic or
	// for all of them when end is commit or abort.
	send(t *testing.T, codec, end string, recs []record)
	// read reads n records of topic, from its start, and returns each as it
	// printed it.
	read(t *testing.T, topic string, n int) []string
	// print is how the client prints a record.
	print(r record) string
}

// tool is a client with how it is installed.
type tool struct {
	support
	name   string // fit for a topic
	client func(t *testing.T) client
}

var tools = []tool{
	{kcatSupport, "kcat", newKcat},
	{consoleSupport, "console", newConsole},
	{pythonSupport, "python", func(t *testing.T) client { return newPython(t, "python") }},
	{kafkaPythonSupport, "kafka-python", func(t *testing.T) client { return newPython(t, "kafka-python") }},
	{nodeSupport, "node", func(t *testing.T) client { return newNode(t, "node") }},
	{kafkajsSupport, "kafkajs", func(t *testing.T) client { return newNode(t, "kafkajs") }},
	{javaSupport, "java", newJava},
	{saramaSupport, "sarama", func(t *testing.T) client { return newGo(t, "sarama") }},
	{franzSupport, "franz", func(t *testing.T) client { return newGo(t, "franz") }},
	{kafkaGoSupport, "kafka-go", func(t *testing.T) client { return newGo(t, "kafka-go") }},
}

// The Rust that is needed is not everywhere, and not in CI.
func init() {
	if os.Getenv("CLIENTS_RUST") != "" {
		tools = append(tools, tool{rustSupport, "rust", newRust})
	}
}

// programsAlone are the docs' programs whose client is that of another tool.
var programsAlone = map[string]program{
	"spring":  spring,
	"connect": connect,
}

// run runs a program with input and returns what it printed.
func run(t *testing.T, cmd *exec.Cmd, input []byte) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", cmd, err, abbreviated(out.String()), errs.String())
	}
	return out.String()
}

func abbreviated(s string) string {
	const limit = 1000
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}

// patient bounds what a program of a test may take.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// pair is a client that is two programs in its language: delay is the docs', and
// records takes and prints lines of JSON.
type pair struct {
	delay, records []string
}

func (p pair) demo(t *testing.T, target string) *exec.Cmd {
	return p.command(t, p.delay, brokers(), target)
}

func (p pair) send(t *testing.T, codec, end string, recs []record) {
	t.Helper()
	var lines bytes.Buffer
	for _, r := range recs {
		fmt.Fprintln(&lines, p.print(r))
	}
	args := []string{"send", brokers(), codec}
	if end != "" {
		args = append(args, end)
	}
	run(t, p.command(t, p.records, args...), lines.Bytes())
}

func (p pair) read(t *testing.T, topic string, n int) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(run(t, p.command(t, p.records, "read", brokers(), topic, strconv.Itoa(n)), nil)) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s printed %q: %v", p.records, line, err)
		}
		lines = append(lines, p.print(r))
	}
	return lines
}

func (pair) print(r record) string {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(line)
}

func (pair) command(t *testing.T, program []string, args ...string) *exec.Cmd {
	args = append(program[1:len(program):len(program)], args...)
	return exec.CommandContext(patient(t), program[0], args...)
}

func newPython(t *testing.T, folder string) client {
	t.Helper()
	python := filepath.Join(installed(t, "python", pip, "python/requirements.txt"), "bin", "python")
	return pair{
		delay:   []string{python, filepath.Join(programs, folder, "delay.py")},
		records: []string{python, filepath.Join(programs, folder, "records.py")},
	}
}

// newNode runs copies: Node looks for packages beside the program.
func newNode(t *testing.T, folder string) client {
	t.Helper()
	modules := filepath.Join(installed(t, "node", npm, "node/package.json", "node/package-lock.json"), "node_modules")
	dir := t.TempDir()
	for _, f := range []string{"delay.mjs", "records.mjs"} {
		if err := copyFile(filepath.Join(programs, folder, f), filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(modules, ".bin", "node")
	return pair{
		delay:   []string{node, filepath.Join(dir, "delay.mjs")},
		records: []string{node, filepath.Join(dir, "records.mjs")},
	}
}

func newGo(t *testing.T, folder string) client {
	t.Helper()
	dir := t.TempDir()
	if err := build(t.Context(), folder, dir); err != nil {
		t.Fatal(err)
	}
	return pair{delay: []string{filepath.Join(dir, "delay")}, records: []string{filepath.Join(dir, "records")}}
}

// newRust runs what was compiled when it was installed.
func newRust(t *testing.T) client {
	t.Helper()
	dir := installed(t, "rust", cargo, "rust/Cargo.toml", "rust/src/bin/delay.rs", "rust/src/bin/records.rs")
	return pair{delay: []string{filepath.Join(dir, "delay")}, records: []string{filepath.Join(dir, "records")}}
}

// jvm starts Java as for small, short-lived machines, as the broker's own flags
// are.
func jvm(classpath ...string) []string {
	return []string{"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", strings.Join(classpath, string(os.PathListSeparator))}
}

// compiled compiles the Java programs of a folder and returns where to.
func compiled(t *testing.T, folder, classpath string) (dir string) {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(programs, folder, "*.java"))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := command(patient(t), "", "javac", append([]string{"-Werror", "-d", dir, "-cp", classpath}, sources...)...); err != nil {
		t.Fatalf("%v (install a JDK)", err)
	}
	return dir
}

func newJava(t *testing.T) client {
	t.Helper()
	jars := kafkatest.JarsClasspath(t)
	java := jvm(compiled(t, "java", jars), jars)
	return pair{delay: append(java[:len(java):len(java)], "Delay"), records: append(java[:len(java):len(java)], "Records")}
}

func spring(t *testing.T, target string) *exec.Cmd {
	t.Helper()
	jars := filepath.Join(installed(t, "spring", mvn("spring"), "spring/pom.xml"), "*")
	java := append(jvm(compiled(t, "spring", jars), jars), "delay.Delay", "--spring.kafka.bootstrap-servers="+brokers(), "--target="+target)
	return exec.CommandContext(patient(t), java[0], java[1:]...)
}

func connect(t *testing.T, target string) *exec.Cmd {
	t.Helper()
	jars := installed(t, "connect", mvn("connect"), "connect/pom.xml")
	return script(t, kafkatest.JarsClasspath(t)+string(os.PathListSeparator)+filepath.Join(jars, "*"), filepath.Join("connect", "connect.sh"), target)
}

// endOfRecord is what kcat and the console consumer print behind a record; it is
// in no record of this test.
const endOfRecord = "\n-- end of record --\n"

// printed splits what kcat or the console consumer printed.
func printed(out string) []string {
	return strings.Split(strings.TrimSuffix(out, endOfRecord), endOfRecord)
}

// console is the console producer and consumer in Kafka's jars.
type console struct{ classpath string }

func newConsole(t *testing.T) client { return console{kafkatest.JarsClasspath(t)} }

// javaClasses are the programs behind Kafka's scripts.
var javaClasses = map[string]string{
	"kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
	"kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"connect-standalone.sh":     "org.apache.kafka.connect.cli.ConnectStandalone",
}

func (c console) java(script string) []string { return append(jvm(c.classpath), javaClasses[script]) }

func (c console) demo(t *testing.T, target string) *exec.Cmd {
	t.Helper()
	return script(t, c.classpath, "console.sh", target)
}

// script is one of the docs' with Kafka's own ones on the PATH: the jars from Maven
// come without them.
func script(t *testing.T, classpath, name, target string) *exec.Cmd {
	t.Helper()
	bin := t.TempDir()
	for script, class := range javaClasses {
		text := "#!/bin/sh\nexec '" + strings.Join(append(jvm(classpath), class), "' '") + "' \"$@\"\n"
		if err := os.WriteFile(filepath.Join(bin, script), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(patient(t), filepath.Join(programs, name), brokers(), target)
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return cmd
}

const consoleNull = "<null>"

func (c console) send(t *testing.T, codec, end string, recs []record) {
	t.Helper()
	if end != "" {
		t.Fatal("the console producer has no transactions")
	}
	lines := map[string]*bytes.Buffer{}
	for _, r := range recs {
		if lines[r.Topic] == nil {
			lines[r.Topic] = new(bytes.Buffer)
		}
		fmt.Fprintf(lines[r.Topic], "%s\t%s\t%s\n", consoleHeaders(r.Headers), consoleText(r.Key), consoleText(r.Value))
	}
	for topic, text := range lines {
		java := append(c.java("kafka-console-producer.sh"), "--bootstrap-server", brokers(), "--topic", topic,
			"--compression-codec", codec, "--reader-property", "parse.headers=true", "--reader-property", "parse.key=true",
			"--reader-property", "null.marker="+consoleNull)
		run(t, exec.CommandContext(patient(t), java[0], java[1:]...), text.Bytes())
	}
}

func (c console) read(t *testing.T, topic string, n int) []string {
	t.Helper()
	java := append(c.java("kafka-console-consumer.sh"), "--bootstrap-server", brokers(), "--topic", topic, "--from-beginning",
		"--max-messages", strconv.Itoa(n))
	for _, p := range []string{"print.headers=true", "print.key=true", "null.literal=" + consoleNull, "line.separator=" + endOfRecord} {
		java = append(java, "--formatter-property", p)
	}
	return printed(run(t, exec.CommandContext(patient(t), java[0], java[1:]...), nil))
}

func (console) print(r record) string {
	return consoleHeaders(r.Headers) + "\t" + consoleText(r.Key) + "\t" + consoleText(r.Value)
}

func consoleHeaders(hs []header) string {
	var texts []string
	for _, h := range hs {
		texts = append(texts, h.Key+":"+consoleText(h.Value))
	}
	return strings.Join(texts, ",")
}

func consoleText(b []byte) string {
	if b == nil {
		return consoleNull
	}
	return string(b)
}
