package connect

import (
	"encoding/base64"
	"reflect"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An unreachable broker is warned of at every attempt, which is up to fifty
// times a second: of each message this many lines pass in each period.
const (
	logBurst  = 3
	logPeriod = 30 * time.Second
)

// logMessages bounds how many messages are remembered for that. franz-go has
// some two hundred, of which one process meets a few.
const logMessages = 256

// handled are warnings of franz-go's about what the service handles, and tells of in its own
// words where anybody has to know: they are details.
var handled = map[string]bool{
	// A batch is sent again.
	"produce partition load error, bumping error count on first stored batch": true,
	// Partitions moved while a commit was on its way: the new owner goes on from the last one.
	"received an OffsetCommitResponse after our group session has ended, unable to handle this (were we kicked from the group?)": true,
}

// Logger passes franz-go's log lines to zerolog. What franz-go calls info is
// detail about one client, so it becomes debug here, and its debug (every
// request) becomes trace. Warnings and errors keep their level, but for those in
// handled; a message that repeats is held back and counted (field "suppressed" on the next line that
// passes).
type Logger struct {
	log zerolog.Logger

	mu   sync.Mutex
	seen map[string]*window
}

// window counts the lines of one message in one period.
type window struct {
	since      time.Time
	passed     int
	suppressed int
}

// NewLogger returns a Logger that writes to log.
func NewLogger(log zerolog.Logger) *Logger {
	return &Logger{log: log, seen: make(map[string]*window)}
}

// Level is the most detailed franz-go level that log would still write, so that
// franz-go does not prepare lines for nothing.
func (l *Logger) Level() kgo.LogLevel {
	switch level := max(l.log.GetLevel(), zerolog.GlobalLevel()); {
	case level <= zerolog.TraceLevel:
		return kgo.LogLevelDebug
	case level <= zerolog.DebugLevel:
		return kgo.LogLevelInfo
	case level <= zerolog.WarnLevel:
		return kgo.LogLevelWarn
	case level <= zerolog.ErrorLevel:
		return kgo.LogLevelError
	}
	return kgo.LogLevelNone
}

// Log writes one line. The key "err" becomes zerolog's own name for errors, and
// is left out where there is none.
func (l *Logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	var event *zerolog.Event
	switch level {
	case kgo.LogLevelError:
		event = l.log.Error()
	case kgo.LogLevelWarn:
		if event = l.log.Warn(); handled[msg] {
			event = l.log.Debug()
		}
	case kgo.LogLevelInfo:
		event = l.log.Debug()
	default:
		event = l.log.Trace()
	}
	if !event.Enabled() {
		return
	}
	if level <= kgo.LogLevelWarn {
		pass, suppressed := l.admit(msg)
		if !pass {
			event.Discard().Send()
			return
		}
		if suppressed > 0 {
			event.Int("suppressed", suppressed)
		}
	}
	for i := 0; i+1 < len(keyvals); i += 2 {
		key, _ := keyvals[i].(string)
		if key == "err" {
			if keyvals[i+1] == nil {
				continue
			}
			key = zerolog.ErrorFieldName
		}
		event.Fields([]any{key, readable(keyvals[i+1])})
	}
	event.Msg(msg)
}

// readable is a topic's id as Kafka's own tools write it, and anything else as it is.
func readable(value any) any {
	id := reflect.ValueOf(value)
	if id.Kind() != reflect.Array || id.Type().Elem().Kind() != reflect.Uint8 {
		return value
	}
	text := make([]byte, id.Len())
	reflect.Copy(reflect.ValueOf(text), id)
	return base64.RawURLEncoding.EncodeToString(text)
}

// admit reports whether a line with this message may pass now, and how many
// like it were held back before it.
func (l *Logger) admit(msg string) (pass bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	w := l.seen[msg]
	if w == nil {
		if len(l.seen) >= logMessages {
			clear(l.seen)
		}
		w = &window{since: now}
		l.seen[msg] = w
	}
	if now.Sub(w.since) >= logPeriod {
		suppressed = w.suppressed
		*w = window{since: now}
	}
	if w.passed == logBurst {
		w.suppressed++
		return false, 0
	}
	w.passed++
	return true, suppressed
}
