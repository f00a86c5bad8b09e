package consume

import (
	"errors"
	"strings"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
)

// metadataLimit is how long the metadata of a commit may be. A cluster's bound for it
// (offset.metadata.max.bytes) can be smaller than the default, and in transactions what
// was handled ahead has to be listed. So the first commit of a process, which says nothing
// new, is padded to the longest that there can be, and while it is refused to half of that.
// The zero value is the longest.
type metadataLimit struct {
	less    atomic.Int64 // how much shorter than metaBytes it has to be
	learned atomic.Bool
}

// bits returns how many bits there are for what was handled ahead.
func (r *metadataLimit) bits() int64 { return max(0, metaBytes-r.less.Load()-metaRest) * 6 }

// pad makes p's metadata as long as it may be, unless it is known how long that is.
// Spaces mean nothing to those who read it.
func (p *prefix) pad(r *metadataLimit) {
	if more := int(metaBytes-r.less.Load()) - len(p.meta); !r.learned.Load() && more > 0 {
		p.meta += strings.Repeat(" ", more)
		p.padded = true
	}
}

// learn takes the answer to a padded commit, and reports whether it was too long.
func (r *metadataLimit) learn(err error) (tooLong bool) {
	switch {
	case err == nil:
		r.learned.Store(true)
	case errors.Is(err, kerr.OffsetMetadataTooLarge):
		now := metaBytes - r.less.Load()
		r.less.Store(metaBytes - now/2)
		r.learned.Store(now/2 < metaRest) // not enough for anything: nothing may be ahead
		return true
	}
	return false
}
