package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrGroupDenied says that Kafka does not let this user join the consumer group.
var ErrGroupDenied = errors.New("Kafka does not let this user join the consumer group")

// CheckGroup asks Kafka whether this user may join the group, without joining it. Brokers without ACLs let everybody.
func CheckGroup(ctx context.Context, c Config) error {
	cl, err := kgo.NewClient(c.Kafka...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	groups, err := kadm.NewClient(cl).DescribeGroups(kadm.WithAuthorizedOps(ctx), c.Group)
	if err == nil {
		g := groups[c.Group]
		err = g.Err
		ops := g.AuthorizedOperations
		if err == nil && len(ops) > 0 && !slices.Contains(ops, kadm.OpRead) && !slices.Contains(ops, kadm.OpAll) {
			err = kerr.GroupAuthorizationFailed
		}
	}
	if errors.Is(err, kerr.GroupAuthorizationFailed) {
		return fmt.Errorf("%w %s: give it the ACL READ on that group (kafka-acls --add --operation Read --group %s)",
			ErrGroupDenied, c.Group, c.Group)
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil // nobody has joined it yet
	}
	return err
}
