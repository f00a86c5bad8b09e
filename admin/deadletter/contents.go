package deadletter

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

// Contents is one record of a topic of the service, as whole as was asked for.
type Contents struct {
	*admin.Contents
	// Letter is what the record says as a dead letter; nil on other topics.
	Letter *Letter `json:"letter,omitempty"`
}

// Read reads the record at a place on one of the service's own topics, as
// [admin.ReadRecord] does. For a dead letter it reads all that was sent again; see
// [Pages.Read].
func Read(ctx context.Context, cl *kgo.Client, names levels.Names, at admin.Place, most int) (*Contents, error) {
	c, err := readContents(ctx, cl, names, at, most)
	if err != nil || c.Letter == nil {
		return c, err
	}
	all, err := readSendings(ctx, cl, names)
	if err != nil {
		return nil, err
	}
	c.Letter.tell(all)
	return c, nil
}

// readContents is Read without what was sent again.
func readContents(ctx context.Context, cl *kgo.Client, names levels.Names, at admin.Place, most int) (*Contents, error) {
	if at.Topic != names.Dead() {
		c, err := admin.ReadRecord(ctx, cl, names, at, most)
		if err != nil {
			return nil, err
		}
		return &Contents{Contents: c}, nil
	}
	rec, err := scan.At(ctx, cl, offsets.Partition{Topic: at.Topic, Partition: at.Partition}, at.Offset)
	if errors.Is(err, admin.ErrNoRecord) {
		err = fmt.Errorf("%v: %w", at, err)
	}
	if err != nil {
		return nil, err
	}
	return &Contents{Contents: admin.NewContents(names, rec, most), Letter: newLetter(rec)}, nil
}
