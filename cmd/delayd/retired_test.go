package main

import (
	"strings"
	"testing"

	"github.com/delayd-io/delayd/admin"
)

func TestPrintRetired(t *testing.T) {
	var b strings.Builder
	printRetired(&b, admin.Status{Levels: []admin.TopicStatus{
		{Topic: "delay.level.5s", Level: "5s"},
		{Topic: "delay.level.7s", Level: "7s", Retired: true, Pending: 2},
		{Topic: "delay.level.9s", Level: "9s", Retired: true},
	}})
	want := "delay.level.7s: level 7s is not in the ladder; keep its topic: 2 records wait on it and are delivered when due\n" +
		"delay.level.9s: level 9s is not in the ladder, and nothing waits on it; its topic may be deleted " +
		"once no delayd has the level in its ladder and no producer writes to it\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
