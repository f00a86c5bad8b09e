package deliver

import (
	"fmt"
	"math/rand/v2"

	"github.com/delayd-io/delayd/levels"
)

// Delivery says what is promised of a record's delivery.
type Delivery = levels.Delivery

const (
	// AtLeastOnce and ExactlyOnce are those of package levels.
	AtLeastOnce = levels.AtLeastOnce
	ExactlyOnce = levels.ExactlyOnce
)

// TransactionalID is what the transactional ids of a group member begin with, empty
// where there are none. Where the member has a name its restart ends what was left open;
// one without a name is never the same again.
func TransactionalID(d Delivery, group, instance string) string {
	if d != ExactlyOnce {
		return ""
	}
	if instance == "" {
		instance = fmt.Sprintf("%016x", rand.Uint64())
	}
	return group + "-" + instance
}
