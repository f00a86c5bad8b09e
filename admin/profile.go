package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/levels"
)

// Profile is a kind of cluster, named for what it refuses.
type Profile string

// The profiles.
const (
	// ProfileApache takes everything.
	ProfileApache Profile = "apache"
	// ProfileMSKServerless is Amazon MSK Serverless: no segment.*, no
	// min.insync.replicas, at most 8 MiB a record, and rights by IAM alone.
	ProfileMSKServerless Profile = "msk-serverless"
	// ProfileConfluent is Confluent Cloud: three replicas and no other number, no short
	// segment.ms, at most 8 MiB a record.
	ProfileConfluent Profile = "confluent"
	// ProfileRedpanda knows no min.insync.replicas, and as a service takes no
	// segment.ms and no retention below a day.
	ProfileRedpanda Profile = "redpanda"
)

// Profiles are all of them.
func Profiles() []Profile {
	return []Profile{ProfileApache, ProfileMSKServerless, ProfileConfluent, ProfileRedpanda}
}

// ParseProfile reads the name of a profile.
func ParseProfile(s string) (Profile, error) {
	if all := Profiles(); !slices.Contains(all, Profile(s)) {
		last := len(all) - 1
		words := make([]string, last)
		for i, p := range all[:last] {
			words[i] = string(p)
		}
		return "", fmt.Errorf("profile %q: write %s or %s", s, strings.Join(words, ", "), all[last])
	}
	return Profile(s), nil
}

// managedMaxMessage is the most that MSK Serverless takes, and Confluent Cloud on
// all but its dedicated clusters.
const managedMaxMessage = 8 << 20

// rules are what a kind of cluster allows.
type rules struct {
	refused []string // topic settings
	// replicas is the one number that it takes; 0 is any.
	replicas int16
	// maxMessage is message.max.bytes of brokers that do not tell it.
	maxMessage int64
	// most that max.message.bytes may be; 0 is without end.
	most int64
	// retention is the least that it may be, where it has an end.
	retention time.Duration
	// iam says that rights are no ACLs there.
	iam bool
}

func (p Profile) rules() rules {
	switch p {
	case ProfileMSKServerless:
		return rules{refused: []string{segmentSize, segmentMs, minInSync}, maxMessage: describe.KafkaMaxMessage, most: managedMaxMessage, iam: true}
	case ProfileConfluent:
		return rules{refused: []string{segmentMs}, replicas: 3, maxMessage: 2097164, most: managedMaxMessage}
	case ProfileRedpanda:
		return rules{refused: []string{segmentMs, minInSync}, maxMessage: 1 << 20, retention: 24 * time.Hour}
	}
	return rules{maxMessage: describe.KafkaMaxMessage}
}

// largest is the limit of a topic that should take n bytes.
func (r rules) largest(n int64) int64 {
	if r.most > 0 {
		return min(n, r.most)
	}
	return n
}

// fit makes a spec one that the profile allows, or says what it does not.
func (s *Spec) fit() error {
	if s.Profile != "" {
		if _, err := ParseProfile(string(s.Profile)); err != nil {
			return err
		}
	}
	r := s.Profile.rules()
	if s.Replicas == BrokerDefault && r.replicas > 0 {
		s.Replicas = r.replicas
	}
	switch {
	case s.OutageBudget < 0 || s.OutageBudget > levels.MaxDelay:
		return fmt.Errorf("outage-budget must be 0 to keep everything, or at most %s, got %v", levels.FormatDelay(levels.MaxDelay), s.OutageBudget)
	case s.OutageBudget > 0 && s.OutageBudget < r.retention:
		return fmt.Errorf("outage-budget must be at least %s with profile %s, got %s",
			levels.FormatDelay(r.retention), s.Profile, levels.FormatDelay(s.OutageBudget))
	case s.Replicas > 0 && r.replicas > 0 && s.Replicas != r.replicas:
		return fmt.Errorf("replicas must be %d with profile %s, got %d", r.replicas, s.Profile, s.Replicas)
	}
	return nil
}
