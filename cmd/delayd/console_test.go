package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// TestLogThatNobodyReads: one line waits a while for a reader, those after it do not. When
// it is read again the log goes on, and says how many lines are missing.
func TestLogThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		log := zerolog.New(&lockedWriter{w: write})
		for i, want := range []time.Duration{logPatience, 0, 0} {
			begun := time.Now()
			log.Info().Int("line", i).Send()
			if took := time.Since(begun); took != want {
				t.Errorf("line %d took %v, want %v", i, took, want)
			}
		}
		var got bytes.Buffer
		go io.Copy(&got, read)
		synctest.Wait()
		log.Info().Int("line", 3).Send()
		write.Close()
		synctest.Wait()
		lines := strings.Split(got.String(), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], `"line":0`) || !strings.Contains(lines[1], `"lines":2,"message":"lines of the log were dropped`) || !strings.Contains(lines[2], `"line":3`) {
			t.Errorf("the log:\n%s", got.String())
		}
	})
}
