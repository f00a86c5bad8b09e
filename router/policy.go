package router

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// Policy is what an installation offers and allows. The zero value is the default
// ladder under the default prefix, rounding to the nearest level, with no default
// target and every topic allowed that is not internal or ours; [Policy.WithDefaults]
// spells it out.
//
// A Policy is a value: it does not change while it is used, and several
// goroutines can decide by it at once.
type Policy struct {
	// Ladder is the levels that there are. Empty: levels.Default.
	Ladder levels.Ladder
	// Names spells the topics. An empty prefix: levels.DefaultPrefix.
	Names levels.Names
	// Rounding says which level a delay gets that lies between two. With levels.Exact it
	// gets none, and is waited for to the millisecond.
	Rounding levels.Rounding
	// OverMax says what becomes of a request above the last level. The zero value,
	// OverMaxAuto, lets the service go by Rounding, and a [Producer] refuse.
	OverMax OverMax
	// MaxDelay bounds exact times: a request for one that is further away is refused as
	// over-max. 0: levels.DefaultMaxDelay, 30 days.
	MaxDelay time.Duration
	// Retry is how long a record waits before each retry (header delay-level: retry)
	// that brings no policy of its own. Each wait is rounded as Rounding says; one above
	// the last level, or with levels.Exact above MaxDelay, is shortened to that. Empty:
	// levels.DefaultRetryPolicy.
	Retry levels.RetryPolicy
	// DefaultTarget receives records that name no target. Empty: they are refused.
	DefaultTarget string
	// AllowTargets and DenyTargets are patterns of path.Match. An empty allow
	// list allows all; deny wins.
	AllowTargets, DenyTargets []string
}

// WithDefaults is the policy with a ladder, a prefix, a longest exact delay and waits
// before retries where it had none.
func (p Policy) WithDefaults() Policy {
	if p.Ladder.Len() == 0 {
		p.Ladder = levels.Default()
	}
	if p.Names.Prefix == "" {
		p.Names.Prefix = levels.DefaultPrefix
	}
	p.MaxDelay = cmp.Or(p.MaxDelay, levels.DefaultMaxDelay)
	p.Retry = p.retries()
	return p
}

// Validate reports the first field that is wrong, by its name ("Policy.Ladder"). It
// wants a policy that has its defaults.
func (p Policy) Validate() error {
	if p.Ladder.Len() == 0 {
		return wrong("Ladder", errors.New("the ladder has no levels; write at least one delay, such as 10s"))
	}
	if err := p.Names.Validate(); err != nil {
		return wrong("Names", err)
	}
	if _, err := p.Rounding.MarshalText(); err != nil {
		return wrong("Rounding", err)
	}
	if _, err := p.OverMax.MarshalText(); err != nil {
		return wrong("OverMax", err)
	}
	if p.MaxDelay < 0 {
		return wrong("MaxDelay", fmt.Errorf("%s is negative; write a duration such as 30d", p.MaxDelay))
	}
	err := p.targets().Validate()
	if fault := (*record.FieldError)(nil); errors.As(err, &fault) {
		fault.Field = policyField + fault.Field
	}
	return err
}

// policyField begins the names of a Policy's fields in errors.
const policyField = "Policy."

func wrong(field string, err error) error {
	return &record.FieldError{Field: policyField + field, Err: err}
}

// maxDelay is MaxDelay, of a policy that may lack its defaults.
func (p *Policy) maxDelay() time.Duration { return cmp.Or(p.MaxDelay, levels.DefaultMaxDelay) }

func (p *Policy) targets() record.Targets {
	return record.Targets{Names: p.Names, Default: p.DefaultTarget, Allow: p.AllowTargets, Deny: p.DenyTargets}
}

// OverMax says what becomes of a request above the last level.
type OverMax int

const (
	// OverMaxAuto is the default. In a record on the inbox it clamps under the
	// roundings nearest and down, and rejects under up, which means "not before I
	// asked". In a [Producer] and in [Policy.Prepare] it always rejects: there is a
	// caller to tell.
	OverMaxAuto OverMax = iota
	// OverMaxClamp grants the last level.
	OverMaxClamp
	// OverMaxReject refuses the record as over-max.
	OverMaxReject
)

// overMaxNames are indexed by OverMax.
var overMaxNames = [...]string{OverMaxAuto: "auto", OverMaxClamp: "clamp", OverMaxReject: "reject"}

// ParseOverMax reads "auto", "clamp" or "reject".
func ParseOverMax(s string) (OverMax, error) {
	for o, name := range overMaxNames {
		if s == name {
			return OverMax(o), nil
		}
	}
	return OverMaxAuto, fmt.Errorf("over-max %s: write clamp, reject or auto", record.Quote([]byte(s)))
}

// String is the name that [ParseOverMax] reads.
func (o OverMax) String() string {
	if !o.known() {
		return fmt.Sprintf("OverMax(%d)", int(o))
	}
	return overMaxNames[o]
}

// MarshalText writes the name; a value that has none is an error.
func (o OverMax) MarshalText() ([]byte, error) {
	if !o.known() {
		return nil, fmt.Errorf("over-max %d: use OverMaxAuto, OverMaxClamp or OverMaxReject", int(o))
	}
	return []byte(overMaxNames[o]), nil
}

// UnmarshalText reads a name as [ParseOverMax] does, and leaves the value as it
// was when there is an error.
func (o *OverMax) UnmarshalText(text []byte) error {
	parsed, err := ParseOverMax(string(text))
	if err != nil {
		return err
	}
	*o = parsed
	return nil
}

func (o OverMax) known() bool { return 0 <= o && int(o) < len(overMaxNames) }

// rejects reports whether the router refuses a request above the last level.
func (p *Policy) rejects() bool {
	return p.OverMax == OverMaxReject || p.OverMax == OverMaxAuto && p.Rounding == levels.Up
}
