package main

import (
	"testing"

	"github.com/delayd-io/delayd/forwarder"
)

// A flag that is 0 means 0, and not the default that 0 is in a Go program.
func TestZeroFlags(t *testing.T) {
	s := new(service)
	r, f := s.routerConfig(), s.forwarderConfig()
	if r.PurgeAfter != forwarder.PurgeAtOnce || f.PurgeAfter != forwarder.PurgeAtOnce {
		t.Errorf("--purge-after 0 is %v for the router and %v for the forwarder", r.PurgeAfter, f.PurgeAfter)
	}
	if r.MissingTargetWait != forwarder.WaitForEver || f.MissingTargetWait != forwarder.WaitForEver {
		t.Errorf("--missing-target-wait 0 is %v for the router and %v for the forwarder", r.MissingTargetWait, f.MissingTargetWait)
	}
}

func TestEmptyPrefix(t *testing.T) {
	if _, err := parsePrefix(""); err == nil {
		t.Error("an empty --prefix is taken for the default one")
	}
}
