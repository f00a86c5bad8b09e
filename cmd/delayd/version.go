package main

import (
	"fmt"
	"runtime/debug"
)

// release is the version of a release, set where the binary is built without its
// repository, as in the Dockerfile: -ldflags "-X main.release=v1.2.3". Empty: what
// the Go tool chain recorded counts.
var release string

type versionCmd struct{}

// Run prints the version of the binary.
func (versionCmd) Run(con *console) error {
	_, err := fmt.Fprintln(con.out, "delayd", version())
	return err
}

// version is the release, the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return versionOf(release, info)
}

func versionOf(release string, info *debug.BuildInfo) string {
	v := info.Main.Version
	switch {
	case release != "":
		v = release
	case v == "" || v == "(devel)":
		v = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += " " + s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return v + " (" + info.GoVersion + ")"
}
