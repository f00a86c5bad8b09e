package security

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/twmb/franz-go/pkg/sasl"
	saslaws "github.com/twmb/franz-go/pkg/sasl/aws"
)

// awsMargin is how long credentials have to be good for still to be used again. A
// login takes a moment, and Amazon MSK ends the session with them.
const awsMargin = time.Minute

// awsCredentials are those of Amazon's own chain: the variables AWS_…, the shared
// files, a role of the pod, the container or the machine.
//
// Those that expire are kept until then: every broker of every client asks, and
// the roles' services answer so many. The others are looked up for each login, so
// that a file can be replaced.
type awsCredentials struct {
	mu   sync.Mutex
	last aws.Credentials // guarded by mu
}

// mechanism signs each login. It fails where what the chain reads is wrong; whether
// somebody hands out credentials is only known at the first login, because that may
// take the network.
func (c *awsCredentials) mechanism() (sasl.Mechanism, error) {
	if _, err := c.chain(context.Background()); err != nil {
		return nil, err
	}
	return saslaws.ManagedStreamingIAM(c.auth), nil
}

func (c *awsCredentials) auth(ctx context.Context) (saslaws.Auth, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.CanExpire || time.Until(c.last.Expires) < awsMargin {
		chain, err := c.chain(ctx)
		if err != nil {
			return saslaws.Auth{}, err
		}
		if c.last, err = chain.Retrieve(ctx); err != nil {
			return saslaws.Auth{}, fmt.Errorf("--sasl %s: no credentials: %w; "+
				"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where there is a role", AWSMSKIAM, err)
		}
	}
	return saslaws.Auth{AccessKey: c.last.AccessKeyID, SecretKey: c.last.SecretAccessKey, SessionToken: c.last.SessionToken}, nil
}

// chain reads the environment and the shared files.
func (c *awsCredentials) chain(ctx context.Context) (aws.CredentialsProvider, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("--sasl %s: read the settings of AWS: %w", AWSMSKIAM, err)
	}
	return cfg.Credentials, nil
}
