// Package msk logs in at Amazon MSK with the credentials that Amazon's own chain finds.
package msk

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/twmb/franz-go/pkg/sasl"
	saslaws "github.com/twmb/franz-go/pkg/sasl/aws"

	"github.com/delayd-io/delayd/internal/security"
)

// margin is how long credentials have to be good for still to be used again. A
// login takes a moment, and Amazon MSK ends the session with them.
const margin = time.Minute

// credentials are those of Amazon's own chain: the variables AWS_…, the shared
// files, a role of the pod, the container or the machine.
//
// Those that expire are kept until then: every broker of every client asks, and
// the roles' services answer only a few. The others are read again for each
// login, so that a file can be replaced.
type credentials struct {
	mu   sync.Mutex
	last aws.Credentials // guarded by mu
}

// Mechanism is the AWS of a [security.Config].
func Mechanism() (sasl.Mechanism, error) { return new(credentials).mechanism() }

// mechanism signs each login. It fails where what the chain reads is wrong; whether
// somebody hands out credentials is only known at the first login, because that may
// take the network.
func (c *credentials) mechanism() (sasl.Mechanism, error) {
	if _, err := c.chain(context.Background()); err != nil {
		return nil, err
	}
	return saslaws.ManagedStreamingIAM(c.auth), nil
}

func (c *credentials) auth(ctx context.Context) (saslaws.Auth, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.CanExpire || time.Until(c.last.Expires) < margin {
		chain, err := c.chain(ctx)
		if err != nil {
			return saslaws.Auth{}, err
		}
		if c.last, err = chain.Retrieve(ctx); err != nil {
			return saslaws.Auth{}, fmt.Errorf("--sasl %s: no credentials: %w; "+
				"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where there is a role", security.AWSMSKIAM, err)
		}
	}
	return saslaws.Auth{AccessKey: c.last.AccessKeyID, SecretKey: c.last.SecretAccessKey, SessionToken: c.last.SessionToken}, nil
}

// chain reads the environment and the shared files.
func (c *credentials) chain(ctx context.Context) (aws.CredentialsProvider, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("--sasl %s: read the settings of AWS: %w", security.AWSMSKIAM, err)
	}
	return cfg.Credentials, nil
}
