package main

import (
	"os"
	"path/filepath"
	"runtime"
)

// defaultDataDir is where the embedded broker keeps its records: a directory for
// a user's data, not one for caches, which may be emptied.
func defaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "delayd")
	}
	switch runtime.GOOS {
	case "darwin", "ios", "windows":
		if dir, err := os.UserConfigDir(); err == nil { // there also the place for data
			return filepath.Join(dir, "delayd")
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "delayd")
	}
	return "delayd-data"
}
