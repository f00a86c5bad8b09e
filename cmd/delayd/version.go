package main

import (
	"fmt"
	"runtime/debug"
)

type versionCmd struct{}

// Run prints the version that the Go tool chain recorded in the binary.
func (versionCmd) Run(con *console) error {
	_, err := fmt.Fprintln(con.out, "delayd", version())
	return err
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += " " + s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return v + " (" + info.GoVersion + ")"
}
