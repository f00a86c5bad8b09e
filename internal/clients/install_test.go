//go:build realkafka

package clients

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/delayd-io/delayd/internal/kafkatest"
)

const (
	installLimit = 5 * time.Minute // for one client, 70 MB at most
	lockRetry    = 200 * time.Millisecond
)

// installed returns a folder under [os.UserCacheDir] that fill has filled, for
// what the given files of testdata/clients ask for. It is named by a digest of
// them, so that a changed file is installed anew.
func installed(t *testing.T, name string, fill func(ctx context.Context, dir string) error, files ...string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("find a folder for the %s client: %v", name, err)
	}
	digest := sha256.New()
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(programs, f))
		if err != nil {
			t.Fatal(err)
		}
		digest.Write(data)
	}
	dir := filepath.Join(cache, "delayd-clients", fmt.Sprintf("%s-%x", name, digest.Sum(nil)[:4]))
	ctx, cancel := context.WithTimeout(t.Context(), installLimit)
	defer cancel()
	if err := install(ctx, dir, fill); err != nil {
		t.Fatalf("install the %s client: %v", name, err)
	}
	return dir
}

// install fills a folder beside dir and renames it when it is complete, so that an
// interrupted install never looks like a finished one. One process installs,
// others wait for it.
func install(ctx context.Context, dir string, fill func(ctx context.Context, dir string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock := flock.New(dir + ".lock")
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return fmt.Errorf("wait for another process that installs it (lock %s): %w", lock.Path(), err)
	}
	defer lock.Unlock()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), "part-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(part) // gone already when all went well
	if err := fill(ctx, part); err != nil {
		return err
	}
	return os.Rename(part, dir)
}

// pip installs what testdata/clients/python asks for into a virtual environment.
func pip(ctx context.Context, dir string) error {
	if err := command(ctx, "", "python3", "-m", "venv", dir); err != nil {
		return fmt.Errorf("%w (install python3 and python3-venv)", err)
	}
	return command(ctx, "", filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
		"--only-binary=:all:", "-r", filepath.Join(programs, "python", "requirements.txt"))
}

// npm installs what testdata/clients/node asks for, a Node of its own included:
// distributions have older ones.
func npm(ctx context.Context, dir string) error {
	for _, f := range []string{"package.json", "package-lock.json"} {
		if err := copyFile(filepath.Join(programs, "node", f), filepath.Join(dir, f)); err != nil {
			return err
		}
	}
	if err := command(ctx, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"); err != nil {
		return fmt.Errorf("%w (install npm)", err)
	}
	return nil
}

// cargo compiles testdata/clients/rust with the librdkafka of the system, and
// keeps the programs alone: what else cargo writes is 200 MB.
func cargo(ctx context.Context, dir string) error {
	if err := command(ctx, filepath.Join(programs, "rust"), "cargo", "build", "--quiet", "--target-dir", filepath.Join(dir, "target")); err != nil {
		return fmt.Errorf("%w (install Rust 1.70 or later, with cargo, and librdkafka-dev)", err)
	}
	return errors.Join(
		os.Rename(filepath.Join(dir, "target", "debug", "delay"), filepath.Join(dir, "delay")),
		os.Rename(filepath.Join(dir, "target", "debug", "records"), filepath.Join(dir, "records")),
		os.RemoveAll(filepath.Join(dir, "target")))
}

// mvn fetches the jars that the pom in folder asks for.
func mvn(folder string) func(ctx context.Context, dir string) error {
	return func(ctx context.Context, dir string) error {
		err := command(ctx, dir, "mvn", "--batch-mode", "--quiet", "--file", filepath.Join(programs, folder, "pom.xml"),
			"dependency:copy-dependencies", "-Dkafka.version="+kafkatest.Version, "-DincludeScope=runtime", "-DoutputDirectory="+dir)
		if err != nil {
			return fmt.Errorf("%w (install maven)", err)
		}
		return nil
	}
}

// build compiles the Go programs in folder of testdata/clients into dir.
func build(ctx context.Context, folder, dir string) error {
	folder = filepath.Join(programs, folder)
	return errors.Join(
		command(ctx, folder, "go", "vet", "./..."),
		command(ctx, folder, "go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "delay"), "."),
		command(ctx, folder, "go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "records"), "./records"))
}

// command runs a program that need not be listened to.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		cmd.Env = append(os.Environ(), "GOWORK=off") // modules of their own, outside of the workspace
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}
