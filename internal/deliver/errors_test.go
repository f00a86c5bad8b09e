package deliver

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/delayd-io/delayd/internal/target"
)

// What can be done about it stands in the dead letter.
func TestUndelivered(t *testing.T) {
	for err, want := range map[error]string{
		kerr.UnknownTopicOrPartition:  "; create topic orders, and send this again with delayd admin dead resend",
		kerr.TopicAuthorizationFailed: "; grant WRITE on topic orders to this user",
	} {
		code := target.CodeOf(err)
		if r := undelivered(code, "orders", err); r.Code != code || !strings.HasPrefix(r.Detail, "deliver to orders: ") || !strings.HasSuffix(r.Detail, want) {
			t.Errorf("%v: %+v, want it to end with %q", err, r, want)
		}
	}
}
