package guide

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/forwarder"
)

// slogWriter passes zerolog's lines on to a slog.Logger.
type slogWriter struct{ to *slog.Logger }

func (w slogWriter) Write(line []byte) (int, error) {
	fields := make(map[string]any)
	if err := json.Unmarshal(line, &fields); err != nil {
		return 0, err
	}
	level, message := slog.LevelDebug, "" // trace, which slog does not have
	if name, _ := fields[zerolog.LevelFieldName].(string); name != "" {
		_ = level.UnmarshalText([]byte(name))
	}
	message, _ = fields[zerolog.MessageFieldName].(string)
	delete(fields, zerolog.LevelFieldName)
	delete(fields, zerolog.MessageFieldName)
	var attrs []slog.Attr
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		attrs = append(attrs, slog.Any(key, fields[key]))
	}
	w.to.LogAttrs(context.Background(), level, message, attrs...)
	return len(line), nil
}

func withSlog(cfg forwarder.Config, to *slog.Logger) forwarder.Config {
	cfg.Log = zerolog.New(slogWriter{to}).Level(zerolog.InfoLevel)
	return cfg
}

func TestSlog(t *testing.T) {
	var out bytes.Buffer
	cfg := withSlog(forwarder.DefaultConfig(), slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	cfg.Log.Debug().Msg("below the level")
	cfg.Log.Warn().Str("topic", "orders").Int("records", 3).Msg("target unavailable")
	if want := "level=WARN msg=\"target unavailable\" records=3 topic=orders\n"; out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}
