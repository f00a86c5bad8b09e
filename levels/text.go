package levels

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// TextFault says why the value of a header is not the plain text that it should be,
// where that shows what wrote it: a client's serializer rather than a person. what
// says what is wrong and who writes it so, fix what to do; both are "" where nothing is
// known.
func TextFault(value string) (what, fix string) {
	const bom = "\ufeff"
	switch inner, quoted := unquoted(value); {
	case value == "":
	case strings.HasPrefix(value, bom):
		return "begins with a byte order mark, as .NET's Encoding.UTF8 puts before a text",
			"write it without, as " + quote(strings.TrimPrefix(value, bom))
	case quoted:
		return "is in quotes, as the header mappers of Spring and Connect's JsonConverter write a text",
			fmt.Sprintf("write %s without them: in Spring with setMapAllStringsOut(true) or as bytes, in Connect with the StringConverter", ascii(inner))
	case len(value) > 2 && strings.HasPrefix(value, "b'") && strings.HasSuffix(value, "'"):
		return "is how Python prints bytes", "write " + ascii(value[2:len(value)-1]) + `, with .encode() instead of str()`
	case strings.HasPrefix(value, "{"):
		return "is JSON, as Connect's JsonConverter writes it with a schema", "write text, in Connect with the StringConverter"
	case strings.HasPrefix(value, "\xac\xed"):
		return "is a serialized object of Java", "write the bytes of a text"
	}
	if text, ok := utf16(value); ok {
		return "is UTF-16, as .NET's Encoding.Unicode writes it", "write " + ascii(text) + " as ASCII or UTF-8"
	}
	if n, bigEndian, ok := number(value); ok {
		who := "Java's IntegerSerializer and LongSerializer write it"
		if !bigEndian {
			who = ".NET's BitConverter writes it"
		}
		return fmt.Sprintf("is the number %d in %d bytes, as %s", n, len(value), who), "write it as text"
	}
	for _, r := range value {
		if r > '~' {
			return strconv.QuoteRuneToASCII(r) + " is not ASCII, however much it looks so", "write it anew"
		}
	}
	return "", ""
}

// unquoted returns what stands between quotes.
func unquoted(s string) (inner string, ok bool) {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return "", false
	}
	return s[1 : len(s)-1], true
}

// ascii is a word as it is to be written: in quotes where it cannot be read without.
func ascii(s string) string {
	if q := quote(s); q != `"`+s+`"` || s == "" {
		return q
	}
	return s
}

// utf16 reads printable ASCII that was written as UTF-16, in either order.
func utf16(s string) (text string, ok bool) {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "\xff\xfe"), "\xfe\xff")
	if len(s) == 0 || len(s)%2 != 0 {
		return "", false
	}
	odd := 0 // where the letters are in each pair
	if s[0] == 0 {
		odd = 1
	}
	var b strings.Builder
	for i := 0; i < len(s); i += 2 {
		letter, other := s[i+odd], s[i+1-odd]
		if other != 0 || letter < ' ' || letter > '~' {
			return "", false
		}
		b.WriteByte(letter)
	}
	return b.String(), true
}

// number reads 4 or 8 bytes as a number, where they are no text. Of the two orders of
// bytes it is the one that makes the smaller number.
func number(s string) (n uint64, bigEndian, ok bool) {
	if isText(s) {
		return 0, false, false
	}
	var big, little uint64
	switch b := []byte(s); len(b) {
	case 4:
		big, little = uint64(binary.BigEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b))
	case 8:
		big, little = binary.BigEndian.Uint64(b), binary.LittleEndian.Uint64(b)
	default:
		return 0, false, false
	}
	n = min(big, little)
	return n, big <= little, n>>(8*(len(s)-1)) == 0 // a larger one is longer than any delay
}

// isText reports whether s is UTF-8 without control characters.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// delayFault is TextFault for a delay, and knows the forms in which the libraries of
// other languages print one.
func delayFault(s string) (what, fix string) {
	if what, fix = TextFault(s); what != "" {
		return what, fix
	}
	lower := strings.ToLower(s)
	switch d, fault := parseDelay(isoDelay(s)); {
	case strings.HasPrefix(s, "P") && fault == "":
		return "is ISO 8601, as Java's Duration.toString prints it", "write " + FormatDelay(d)
	case strings.HasSuffix(lower, "l") && isDigits(lower[:len(lower)-1]) && len(lower) <= maxDigits:
		digits := lower[:len(lower)-1]
		return "is how Java writes a long", fmt.Sprintf("write %sms for milliseconds, or %ss for seconds", digits, digits)
	}
	if d, ok := clockDelay(s); ok {
		return "is a span as .NET's TimeSpan and Python's timedelta print it", "write " + FormatDelay(d)
	}
	if d, fault := parseDelay(lower); fault == "" && s != lower {
		return "units are lower case", "write " + FormatDelay(d)
	}
	return "", ""
}

// isoDelay is a duration of ISO 8601 in our own form, as far as the two go together.
func isoDelay(s string) string {
	return strings.ToLower(strings.Replace(strings.TrimPrefix(s, "P"), "T", "", 1))
}

// clockDelay reads hours, minutes and seconds with colons between them.
func clockDelay(s string) (d time.Duration, ok bool) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return 0, false
	}
	d, fault := parseDelay(parts[0] + "h" + parts[1] + "m" + parts[2] + "s")
	return d, fault == ""
}
