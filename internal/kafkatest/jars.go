//go:build unix

package kafkatest

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// JarsEnv names the environment variable that holds the folder for the jars of [Version]. It
// may be filled already, then mvn is not needed; a folder that does not exist
// yet is filled. Unset: a folder of its own under [os.UserCacheDir].
const JarsEnv = "KAFKATEST_JARS"

const (
	fetchLimit = 5 * time.Minute // for all jars, about 50 MB
	lockRetry  = 200 * time.Millisecond
)

//go:embed pom.xml
var pom []byte

// Jars returns the folder with the jars of the broker and of its command-line
// clients. They are fetched if they are not there; one process fetches, others
// wait for it.
func Jars(ctx context.Context) (string, error) { return jarsOf(ctx, Version) }

func jarsOf(ctx context.Context, version string) (string, error) {
	dir, err := jarsDir(version)
	if err != nil {
		return "", err
	}
	if ok, err := hasJars(dir, version); ok || err != nil {
		return dir, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("create the folder for kafka's jars: %w (%s names another one)", err, JarsEnv)
	}
	lock := flock.New(dir + ".lock")
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return "", fmt.Errorf("wait for another process that fetches kafka's jars (lock %s): %w", lock.Path(), err)
	}
	defer lock.Unlock()
	if ok, err := hasJars(dir, version); ok || err != nil { // it was fetched while we waited
		return dir, err
	}
	return dir, fetchJars(ctx, dir, version)
}

// JarsClasspath returns a Java class path with the broker's command-line clients,
// for example org.apache.kafka.tools.ConsoleProducer and
// org.apache.kafka.tools.consumer.ConsoleConsumer. It fails tb if the jars are
// not there and cannot be fetched.
func JarsClasspath(tb testing.TB) string {
	tb.Helper()
	dir, err := Jars(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return classpath(dir)
}

func classpath(jars string) string { return filepath.Join(jars, "*") }

// jarsDir carries a digest of the pom: a changed list of jars is fetched anew
// and never pulled away from under a broker that runs.
func jarsDir(version string) (string, error) {
	if dir := os.Getenv(JarsEnv); dir != "" && version == Version {
		return filepath.Abs(dir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for kafka's jars: %w (set %s)", err, JarsEnv)
	}
	digest := sha256.Sum256(pom)
	return filepath.Join(cache, "delayd-kafka", version, fmt.Sprintf("%x", digest[:4])), nil
}

// hasJars reports whether dir holds the jars. A folder that holds something else
// is an error: it is not ours to fill.
func hasJars(dir, version string) (bool, error) {
	if _, err := os.Stat(filepath.Join(dir, "kafka_2.13-"+version+".jar")); err == nil {
		return true, nil
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for kafka's jars: %w", err)
	}
	return false, fmt.Errorf("look for kafka's jars: %s is not empty and has no kafka_2.13-%s.jar (%s must name a folder with the jars, or one that can be filled)",
		dir, version, JarsEnv)
}

// fetchJars fills a folder beside dir and renames it when it is complete, so that
// an interrupted fetch never looks like a finished one.
func fetchJars(ctx context.Context, dir, version string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("fetch kafka's jars: %w (install maven, or set %s to a folder that has them)", err, JarsEnv)
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), "part-*")
	if err != nil {
		return fmt.Errorf("fetch kafka's jars: %w", err)
	}
	defer os.RemoveAll(part) // gone already when all went well
	if err := os.WriteFile(filepath.Join(part, "pom.xml"), pom, 0o644); err != nil {
		return fmt.Errorf("fetch kafka's jars: %w", err)
	}
	cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--quiet", "dependency:copy-dependencies",
		"-Dkafka.version="+version, "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(part, "jars"))
	cmd.Dir = part
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch kafka's jars: mvn dependency:copy-dependencies: %w\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(part, "jars"), dir); err != nil {
		return fmt.Errorf("fetch kafka's jars: %w", err)
	}
	return nil
}
