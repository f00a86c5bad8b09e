package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// disk is a small file system of its own, in memory, which can be full.
type disk struct {
	dir string // where it is mounted
}

// mountDisk makes a file system of size bytes. That takes Linux, and root: a row
// that needs it cannot be run without.
func mountDisk(size int64) (*disk, error) {
	dir, err := os.MkdirTemp("", "delayd-torture-disk-") // not among the logs, which are kept and removed
	if err != nil {
		return nil, err
	}
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+strconv.FormatInt(size, 10), "tmpfs", dir).CombinedOutput()
	if err != nil {
		return nil, errors.Join(
			fmt.Errorf("mount a file system of %d bytes on %s: %w (it takes Linux and the right to mount; leave this row out with --row): %s",
				size, dir, err, out), os.Remove(dir))
	}
	return &disk{dir}, nil
}

// data is where a broker's data goes.
func (d *disk) data() string { return filepath.Join(d.dir, "data") }

// filler is the file that takes all the room that there is.
func (d *disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves no room.
func (d *disk) fill() error {
	f, err := os.Create(d.filler())
	if err != nil {
		return fmt.Errorf("fill a disk: %w", err)
	}
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill a disk: %w, want %w", err, syscall.ENOSPC)
	}
	return nil
}

// free makes room again.
func (d *disk) free() error { return os.Remove(d.filler()) }

// unmount removes the file system with all that is on it. Nothing may use it.
func (d *disk) unmount() error {
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("unmount %s: %w: %s", d.dir, err, out)
	}
	return os.Remove(d.dir)
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
