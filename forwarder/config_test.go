package forwarder

import (
	"testing"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/deliver"
)

// The values are written out, for those who read the documentation: they have to be those
// that the rest of the service goes by.
func TestDefaultsAreTheServices(t *testing.T) {
	for name, same := range map[string]bool{
		"DefaultMissingTargetWait": DefaultMissingTargetWait == deliver.DefaultMissingTargetWait,
		"DefaultGiveUp":            DefaultGiveUp == deliver.DefaultGiveUp,
		"DefaultPurgeAfter":        DefaultPurgeAfter == consume.DefaultPurgeAfter,
		"DefaultBudget":            DefaultBudget == consume.DefaultBudget,
	} {
		if !same {
			t.Errorf("%s is not the service's", name)
		}
	}
}
