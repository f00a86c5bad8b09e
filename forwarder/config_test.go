package forwarder

import (
	"testing"

	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/internal/lane"
)

// The values are written out, for those who read the documentation: they have to be those
// that the rest of the service goes by.
func TestDefaultsAreTheServices(t *testing.T) {
	for name, same := range map[string]bool{
		"DefaultMissingTargetWait": DefaultMissingTargetWait == deliver.DefaultMissingTargetWait,
		"DefaultGiveUp":            DefaultGiveUp == deliver.DefaultGiveUp,
		"DefaultPurgeAfter":        DefaultPurgeAfter == lane.DefaultPurgeAfter,
		"DefaultBudget":            DefaultBudget == lane.DefaultBudget,
	} {
		if !same {
			t.Errorf("%s is not the service's", name)
		}
	}
}
