package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveWithin bounds how long the end waits to be taken out of the group.
const leaveWithin = 5 * time.Second

// leave takes a static member out of its group (KIP-345), so that the others get its
// partitions at once and not after the session. franz-go leaves by itself only with
// members that have no instance id.
func (c *Consumer) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	member, _ := c.client.GroupMetadata()
	// This stops the heartbeats: after the request the next one would make it join again.
	err := c.client.LeaveGroupContext(ctx)
	if err == nil && member != "" {
		err = c.askToLeave(ctx, member)
	}
	if err != nil {
		c.log.Warn().Err(err).Dur("session_ms", SessionTimeout).
			Msg("cannot leave the group: its partitions wait until the session has timed out")
	}
}

// askToLeave asks the coordinator. It names the member too: another process may have
// taken over the instance id, and stays.
func (c *Consumer) askToLeave(ctx context.Context, member string) error {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = c.cfg.Group
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = member, kmsg.StringPtr(c.cfg.Instance)
	m.Reason = kmsg.StringPtr("stopped for good")
	req.Members = append(req.Members, m)
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return fmt.Errorf("leave group %s: %w", c.cfg.Group, err)
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	if err == nil && len(resp.Members) > 0 {
		err = kerr.ErrorForCode(resp.Members[0].ErrorCode)
	}
	switch {
	case err == nil,
		errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.FencedInstanceID): // it is no member any more
		return nil
	}
	return fmt.Errorf("leave group %s: %w", c.cfg.Group, err)
}
