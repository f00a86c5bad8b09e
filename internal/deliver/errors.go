package deliver

import (
	"fmt"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/levels"
)

// undelivered is why a record for a topic is a dead letter, and what can be done about
// it.
func undelivered(code levels.Code, topic string, err error) *Refusal {
	err = connect.GrantWrite(err, topic)
	if code == levels.UnknownTopic {
		err = fmt.Errorf("%w; create topic %s, and send this again with delayd admin dead resend", err, topic)
	}
	return &Refusal{Code: code, Detail: fmt.Sprintf("deliver to %s: %v", topic, err)}
}
