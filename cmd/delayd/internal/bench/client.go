package bench

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// newClient is a client of the cluster. Options that follow override.
func newClient(opts []kgo.Opt, more ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(opts[:len(opts):len(opts)], more...)...)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return client, nil
}

// quiet is the progress that goes nowhere.
type quiet struct{}

func (quiet) Start(string, int64) {}
func (quiet) Add(int64)           {}
func (quiet) Done()               {}
