package levels

import "fmt"

// Delivery says what is promised of a record's delivery.
type Delivery int

const (
	// AtLeastOnce repeats after a crash what was delivered and not committed. It is
	// the default.
	AtLeastOnce Delivery = iota
	// ExactlyOnce delivers and commits in one transaction, for consumers that read
	// what is committed (isolation.level=read_committed).
	ExactlyOnce
)

// deliveryNames are indexed by Delivery.
var deliveryNames = [...]string{AtLeastOnce: "at-least-once", ExactlyOnce: "exactly-once"}

// ParseDelivery reads "at-least-once" or "exactly-once".
func ParseDelivery(s string) (Delivery, error) {
	for d, name := range deliveryNames {
		if s == name {
			return Delivery(d), nil
		}
	}
	return AtLeastOnce, fmt.Errorf("delivery %s: write at-least-once or exactly-once", quote(s))
}

// String is the name that [ParseDelivery] reads.
func (d Delivery) String() string {
	if !d.known() {
		return fmt.Sprintf("Delivery(%d)", int(d))
	}
	return deliveryNames[d]
}

// MarshalText writes the name; a value that has none is an error.
func (d Delivery) MarshalText() ([]byte, error) {
	if !d.known() {
		return nil, fmt.Errorf("delivery %d: use AtLeastOnce or ExactlyOnce", int(d))
	}
	return []byte(deliveryNames[d]), nil
}

// UnmarshalText reads a name as [ParseDelivery] does, and leaves the value as it
// was when there is an error.
func (d *Delivery) UnmarshalText(text []byte) error {
	parsed, err := ParseDelivery(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

func (d Delivery) known() bool { return 0 <= d && int(d) < len(deliveryNames) }
