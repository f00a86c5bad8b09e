package forwarder_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"

	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/forwarder"
)

// slogWriter passes the lines of a zerolog.Logger, which are JSON, on to slog.
type slogWriter struct{ to *slog.Logger }

// Write is called for lines without a level.
func (w slogWriter) Write(line []byte) (int, error) { return w.WriteLevel(zerolog.InfoLevel, line) }

// WriteLevel is called for all others.
func (w slogWriter) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return 0, err
	}
	message, _ := fields[zerolog.MessageFieldName].(string)
	delete(fields, zerolog.MessageFieldName)
	delete(fields, zerolog.LevelFieldName)
	attrs := make([]slog.Attr, 0, len(fields))
	for key, value := range fields {
		attrs = append(attrs, slog.Any(key, value))
	}
	levels := map[zerolog.Level]slog.Level{
		zerolog.DebugLevel: slog.LevelDebug, zerolog.WarnLevel: slog.LevelWarn, zerolog.ErrorLevel: slog.LevelError,
	}
	w.to.LogAttrs(context.Background(), levels[level], message, attrs...) // others are Info, the zero value
	return len(line), nil
}

// A program that logs with log/slog gives the Forwarder, and the Router, a logger that
// passes its lines on.
func Example_slog() {
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey { // for the example's output
				return slog.Attr{}
			}
			return a
		},
	})
	cfg := forwarder.Config{Log: zerolog.New(slogWriter{slog.New(handler)})}
	cfg.Log.Warn().Str("topic", "orders").Msg("target paused") // as the Forwarder does
	// Output: level=WARN msg="target paused" topic=orders
}
