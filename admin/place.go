package admin

import (
	"fmt"
	"strconv"
	"strings"
)

// Place is where a record stands, as in the delay-origin of dead letters:
// topic/partition/offset.
type Place struct {
	Topic     string
	Partition int32
	Offset    int64
}

func (p Place) String() string { return fmt.Sprintf("%s/%d/%d", p.Topic, p.Partition, p.Offset) }

// MarshalText is String, for JSON.
func (p Place) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is the inverse.
func (p *Place) UnmarshalText(text []byte) error {
	parsed, ok := parsePlace(string(text))
	if !ok {
		return fmt.Errorf("%q is not topic/partition/offset", text)
	}
	*p = parsed
	return nil
}

// parsePlace reads what String writes, and nothing else.
func parsePlace(s string) (p Place, ok bool) {
	rest, offset, ok1 := cutLast(s)
	topic, partition, ok2 := cutLast(rest)
	n, err1 := strconv.ParseInt(partition, 10, 32)
	at, err2 := strconv.ParseInt(offset, 10, 64)
	p = Place{topic, int32(n), at}
	if !ok1 || !ok2 || err1 != nil || err2 != nil || topic == "" || n < 0 || at < 0 || p.String() != s {
		return Place{}, false
	}
	return p, true
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}
