package settings

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// The origins of a setting that are always called the same.
const (
	FromFlag    = "flag"
	FromDefault = "default"
	NotSet      = "not set" // and it has no default
)

// Origin is where the value of a flag of the selected command comes from: [FromFlag],
// "environment NAME", "FILE:LINE", [FromDefault] or [NotSet]. file is nil where
// there is none.
func Origin(ctx *kong.Context, file *File, flag *kong.Flag) string {
	for _, path := range ctx.Path {
		if path.Flag == flag && !path.Resolved {
			return FromFlag
		}
	}
	if name, ok := variable(flag); ok {
		return "environment " + name
	}
	if v, ok := file.find(ctx.Selected(), flag); ok {
		return fmt.Sprintf("%s:%d", file.name, v.line)
	}
	if flag.HasDefault || flag.IsBool() { // a switch is off by itself
		return FromDefault
	}
	return NotSet
}
