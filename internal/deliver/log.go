package deliver

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// burst is a log of at most most lines a second. Names of targets, and with them lines,
// can be invented by anyone who may write to the inbox. The first line after some were
// left out says how many.
type burst struct {
	log  zerolog.Logger
	most int

	mu      sync.Mutex
	since   time.Time
	passed  int
	leftOut int
}

func newBurst(log zerolog.Logger, most int) *burst { return &burst{log: log, most: most} }

// Info begins a line. It returns nil, which takes no fields, where it is left out.
func (b *burst) Info() *zerolog.Event { return b.line(zerolog.InfoLevel) }

// Warn is Info for a warning.
func (b *burst) Warn() *zerolog.Event { return b.line(zerolog.WarnLevel) }

// Error is Info for an error.
func (b *burst) Error() *zerolog.Event { return b.line(zerolog.ErrorLevel) }

func (b *burst) line(level zerolog.Level) *zerolog.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.Sub(b.since) >= time.Second {
		b.since, b.passed = now, 0
	}
	if b.passed == b.most {
		b.leftOut++
		return nil
	}
	b.passed++
	e := b.log.WithLevel(level)
	if b.leftOut > 0 {
		e.Int("suppressed", b.leftOut)
		b.leftOut = 0
	}
	return e
}

// flush says how many lines were left out, where no other line has for a second.
func (b *burst) flush(now time.Time) {
	b.mu.Lock()
	due := b.leftOut > 0 && now.Sub(b.since) >= time.Second
	b.mu.Unlock()
	if due {
		b.Warn().Msg("more lines like the last ones were left out")
	}
}
