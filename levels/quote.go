package levels

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxQuoted is how many bytes of a bad value an error repeats. Values come from
// anyone who can write to the inbox, and errors end in logs and headers.
const maxQuoted = 64

// quote is the value as errors show it: escaped to ASCII, so that letters that look alike
// are told apart, and cut where it is long.
func quote(s string) string {
	if len(s) <= maxQuoted {
		return strconv.QuoteToASCII(s)
	}
	cut := maxQuoted
	// Between two characters, at most three bytes back; what is not UTF-8 has
	// no such place and is cut as it stands.
	for i := cut; i > cut-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			cut = i
			break
		}
	}
	return fmt.Sprintf("%s… (%d bytes)", strconv.QuoteToASCII(s[:cut]), len(s))
}
