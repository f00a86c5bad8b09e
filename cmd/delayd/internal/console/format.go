package console

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/printable"
)

// number is a count with commas: 1,234,567.
func number[N int | int64 | uint64](n N) string {
	s := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// records is a count with its noun.
func records(n int64) string {
	if n == 1 {
		return "1 record"
	}
	return number(n) + " records"
}

// perSecond is a rate: 0, 0.3, 12, 1,200.
func perSecond(r float64) string {
	switch {
	case r == 0:
		return "0"
	case r < 0.1:
		return "<0.1"
	case r < 10:
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return number(int64(r + .5))
}

// span is a time for people, in two units at most: 3 ms, 1.5 s, 2m 5s, 3h 12m, 4d 2h.
func span(d time.Duration) string {
	day := 24 * time.Hour
	switch d = d.Abs(); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < day:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %dh", int(d/day), int(d.Hours())%24)
}

// seconds formats a span given in seconds; a dash for nil.
func seconds(s *float64) string {
	if s == nil {
		return "–"
	}
	if *s < .01 {
		return strconv.FormatFloat(*s*1000, 'f', 1, 64) + " ms"
	}
	return span(time.Duration(*s * float64(time.Second)))
}

// glance is a key or a value in a cell of a table: one line, and nothing that is acted
// on instead of shown.
func glance(p *admin.Preview) string {
	switch {
	case p == nil:
		return "(null)"
	case p.Bytes == 0:
		return "(empty)"
	case p.Data != nil:
		return hex.EncodeToString(p.Data[:min(len(p.Data), 24)])
	}
	return printable.Text(p.Text)
}

// bytesOf is what there is of a preview.
func bytesOf(p *admin.Preview) []byte {
	if p == nil {
		return nil
	}
	if p.Data != nil {
		return p.Data
	}
	return []byte(p.Text)
}

// text is a value with its lines kept, and each character that has no shape of its own,
// or turns the direction of others, written as an escape.
func text(p *admin.Preview) string {
	var b strings.Builder
	for s := string(bytesOf(p)); s != ""; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\n', r == '\t', unicode.IsGraphic(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// indented is a value as JSON, "" where it is none or is not there as a whole.
func indented(p *admin.Preview) string {
	raw := bytesOf(p)
	if p == nil || len(raw) < p.Bytes || len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return ""
	}
	var out bytes.Buffer
	if json.Indent(&out, raw, "", "  ") != nil {
		return ""
	}
	return text(&admin.Preview{Text: out.String()})
}

// hexBytes is how much of a value is shown as hex.
const hexBytes = 4096

// dump is the beginning of a value in hex.
func dump(p *admin.Preview) string {
	raw := bytesOf(p)
	return hex.Dump(raw[:min(len(raw), hexBytes)])
}

// cut says how much of a value is not shown, "" for nothing.
func cut(p *admin.Preview) string {
	if p == nil || len(bytesOf(p)) >= p.Bytes {
		return ""
	}
	return fmt.Sprintf("the first %s of %s bytes", number(len(bytesOf(p))), number(p.Bytes))
}
