// Package bounds has the settings that a router and a forwarder share: what a zero value
// stands for, and which values are allowed.
package bounds

import (
	"cmp"
	"fmt"
	"time"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/levels"
)

// Bounds points at the fields of a configuration.
type Bounds struct {
	MissingTargetWait, GiveUp, PurgeAfter, MaxLate *time.Duration
	Budget                                         *int64
	Delivery                                       *levels.Delivery
}

// SetDefaults fills the zero values.
func (b Bounds) SetDefaults() {
	*b.MissingTargetWait = cmp.Or(*b.MissingTargetWait, deliver.DefaultMissingTargetWait)
	*b.GiveUp = cmp.Or(*b.GiveUp, deliver.DefaultGiveUp)
	*b.PurgeAfter = cmp.Or(*b.PurgeAfter, consume.DefaultPurgeAfter)
	*b.Budget = cmp.Or(*b.Budget, consume.DefaultBudget)
}

// Validate names the setting, what was given and what is allowed. It wants the defaults
// to be set.
func (b Bounds) Validate() error {
	switch {
	case *b.MissingTargetWait < 0 && *b.MissingTargetWait != deliver.WaitForEver:
		return fmt.Errorf("missing-target-wait must be above 0, 0 for the default, or WaitForEver, got %v", *b.MissingTargetWait)
	case *b.GiveUp < 0:
		return fmt.Errorf("give-up must be above 0, or 0 for the default, got %v", *b.GiveUp)
	case *b.PurgeAfter < 0 && *b.PurgeAfter != consume.PurgeOff && *b.PurgeAfter != consume.PurgeAtOnce:
		return fmt.Errorf("purge-after must be above 0, 0 for the default, PurgeAtOnce or PurgeOff, got %v", *b.PurgeAfter)
	case *b.MaxLate < 0:
		return fmt.Errorf("max-late must be 0 (off) or more, got %v", *b.MaxLate)
	case *b.Budget < 0:
		return fmt.Errorf("budget must be at least 1 byte, or 0 for the default, got %d", *b.Budget)
	}
	_, err := b.Delivery.MarshalText()
	return err
}
