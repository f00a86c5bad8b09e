package record

import (
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// requestKeys are the keys that a producer sets, and the code of a record that has one
// of them spelled otherwise.
var requestKeys = [...]struct {
	key  string
	code levels.Code
}{
	{levels.HeaderLevel, levels.BadLevel},
	{levels.HeaderFor, levels.BadTime},
	{levels.HeaderUntil, levels.BadTime},
	{levels.HeaderTarget, levels.NoTarget},
	{levels.HeaderPartition, levels.BadPartition},
	{levels.HeaderID, levels.BadHeader},
	{levels.HeaderSent, levels.BadHeader},
	{levels.HeaderAttempt, levels.BadHeader},
	{levels.HeaderRetryPolicy, levels.BadHeader},
	{levels.HeaderRetryCause, levels.BadHeader},
	{levels.HeaderCancel, levels.BadCancel},
	{levels.HeaderReplace, levels.BadCancel},
}

// Misspelt refuses a record with a header whose key is one of a producer's but for its
// case: to ignore it would deliver the record otherwise than its producer asked. Where
// the record is to go, and when, counts with an underscore or a dot for the hyphen, too.
// nil is none.
func Misspelt(h []kgo.RecordHeader) *levels.Refusal {
	for i := range h {
		if isMisspelt(h[i].Key) {
			return misspelt(h[i].Key)
		}
	}
	return nil
}

func isMisspelt(key string) bool {
	right, _ := meantKey(key)
	return right != ""
}

// misspelt refuses a record with a misspelt key.
func misspelt(key string) *levels.Refusal {
	right, code := meantKey(key)
	return &levels.Refusal{Code: code, Detail: "header " + strconv.QuoteToASCII(key) + " is not how the key is spelled; write " + right}
}

// meantKey is the request's key that key stands for, "" where it is none or spelled as
// it should be.
func meantKey(key string) (string, levels.Code) {
	if len(key) < len(levels.HeaderID) || key[0]|0x20 != 'd' || key[4]|0x20 != 'y' { // most are not ours
		return "", ""
	}
	for i := range requestKeys {
		right := requestKeys[i].key
		if len(key) == len(right) && key != right && strings.EqualFold(key[:5], right[:5]) &&
			(key[5] == '-' || requestKeys[i].code != levels.BadHeader && (key[5] == '_' || key[5] == '.')) && strings.EqualFold(key[6:], right[6:]) {
			return right, requestKeys[i].code
		}
	}
	return "", ""
}
