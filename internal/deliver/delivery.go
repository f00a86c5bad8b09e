package deliver

import (
	"fmt"
	"math/rand/v2"

	"github.com/delayd-io/delayd/levels"
)

// ByKey is levels.ByKey.
const ByKey = levels.ByKey

// Facts are what is known of a record on its way to its target.
type Facts = levels.Facts

// Refusal says why a record cannot be delivered.
type Refusal = levels.Refusal

// TransactionalID is what the transactional ids of a group member begin with, empty
// where there are none. Where the member has a name its restart ends what was left open;
// one without a name is never the same again.
func TransactionalID(d levels.Delivery, group, instance string) string {
	if d != levels.ExactlyOnce {
		return ""
	}
	if instance == "" {
		instance = fmt.Sprintf("%016x", rand.Uint64())
	}
	return group + "-" + instance
}
