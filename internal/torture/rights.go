package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/security"
	"github.com/delayd-io/delayd/levels"
)

// user is whom delayd comes in as where the cluster asks.
const user = "delayd"

const (
	// newPassword is what the user's password is changed to.
	newPassword = "changed-under-way"
	// reauthentication is how long a login is good for. Kafka's default is for ever:
	// a connection that is in stays in.
	reauthentication = 4 * time.Second
	// denied is how long something is refused.
	denied = 8 * time.Second
)

// rightsRows take from delayd what it needs to come in, or to do its work. It has
// no more rights than it needs.
var rightsRows = []row{
	{
		name: "password-changed", matrix: 30,
		about:      "delayd's password is changed, and the file that it is read from eight seconds later",
		deliveries: bothDeliveries,
		secured:    true,
		properties: map[string]string{
			"connections.max.reauth.ms": fmt.Sprint(reauthentication.Milliseconds()),
		},
		least:  30 * time.Second,
		limits: limits{worst: denied + 5*time.Second, recover: 5*time.Second + echo, twice: twicePerCrash},
		run:    changePassword,
		after:  saying("SASL_AUTHENTICATION_FAILED"),
	},
	{
		name: "groups-denied", matrix: 27,
		about:      "delayd may not use its groups for eight seconds",
		deliveries: bothDeliveries,
		secured:    true,
		least:      30 * time.Second,
		limits:     limits{worst: denied + 5*time.Second, recover: 5*time.Second + echo, twice: twicePerCrash},
		run: func(ctx context.Context, w *world) error {
			return w.whileDenied(ctx, "groups denied", kadm.NewACLs().Groups(w.names.RouterGroup(), w.names.ForwarderGroup()).
				ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead))
		},
		after: saying("grant READ on group delay.router", "grant READ on group delay.forwarder"),
	},
	{
		name: "transactions-denied", matrix: 27,
		about:      "delayd may not use its transactional ids for eight seconds",
		deliveries: []delivery{exactlyOnce},
		secured:    true,
		least:      30 * time.Second,
		limits:     limits{worst: denied + 5*time.Second, recover: 5*time.Second + echo},
		run: func(ctx context.Context, w *world) error {
			return w.whileDenied(ctx, "transactional ids denied", kadm.NewACLs().TransactionalIDs(w.names.Prefix).
				ResourcePatternType(kadm.ACLPatternPrefixed).Operations(kadm.OpWrite))
		},
		after: saying("grant WRITE on all transactional ids that begin with delay.router-one",
			"grant WRITE on all transactional ids that begin with delay.forwarder-one"),
	},
}

// passwordFile is where delayd reads its password.
func (w *world) passwordFile() string { return filepath.Join(w.dir, "password") }

// admit gives the user the rights that delayd needs, and writes its password down.
func (w *world) admit(ctx context.Context) error {
	ladder, err := levels.Parse(ladder)
	if err != nil {
		return err
	}
	spec := admin.Spec{Ladder: ladder, Names: w.names, Partitions: w.partitions()}
	access := admin.Access{Targets: w.history.mix.targets, ExactlyOnce: w.delivery == exactlyOnce}
	for _, right := range spec.Rights(access, admin.RoleRouter, admin.RoleForwarder, admin.RoleVerifier, admin.RoleStatusReader) {
		acl := kadm.NewACLs().Allow(kafkaUser).AllowHosts("*").Operations(right.Operation).ResourcePatternType(kadm.ACLPatternLiteral)
		if right.Prefixed {
			acl.ResourcePatternType(kadm.ACLPatternPrefixed)
		}
		switch right.Resource {
		case kmsg.ACLResourceTypeTopic:
			acl.Topics(right.Name)
		case kmsg.ACLResourceTypeGroup:
			acl.Groups(right.Name)
		case kmsg.ACLResourceTypeTransactionalId:
			acl.TransactionalIDs(right.Name)
		case kmsg.ACLResourceTypeCluster:
			acl.Clusters()
		}
		if err := w.createACLs(ctx, acl); err != nil {
			return fmt.Errorf("grant %v: %w", right, err)
		}
	}
	return os.WriteFile(w.passwordFile(), []byte(w.cluster.Secure().Password(user)), 0o600)
}

// kafkaUser is the user as ACLs name it.
const kafkaUser = "User:" + user

// login are delayd's flags to come in as the user.
func (w *world) login() []string {
	return []string{
		"--no-provision", "--tls", "--tls-ca", w.cluster.Secure().CA,
		"--sasl", string(security.ScramSHA512), "--sasl-user", user, "--sasl-password-file", w.passwordFile(),
	}
}

// createACLs has the cluster take them.
func (w *world) createACLs(ctx context.Context, acls *kadm.ACLBuilder) error {
	answers, err := w.admin.CreateACLs(ctx, acls)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.Err != nil {
			return a.Err
		}
	}
	return nil
}

// saying sees to it that delayd has told of what it lacked.
func saying(all ...string) func(context.Context, *world) error {
	return func(_ context.Context, w *world) error {
		i, err := w.instance("one")
		if err != nil {
			return err
		}
		log, err := os.ReadFile(i.logFile)
		if err != nil {
			return err
		}
		for _, text := range all {
			if !bytes.Contains(log, []byte(text)) {
				w.violated("the log does not say %q", text)
			}
		}
		return nil
	}
}

// changePassword gives the user another password, and tells delayd later.
func changePassword(ctx context.Context, w *world) error {
	if err := sleep(ctx, 6*time.Second); err != nil {
		return err
	}
	defer w.faults.begin("password changed")()
	answers, err := w.admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{
		User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: newPassword,
	}})
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("change the password: %w", err)
	}
	if err := sleep(ctx, denied); err != nil {
		return err
	}
	// As a secret is replaced where it is mounted: at once, and whole.
	next := w.passwordFile() + ".next"
	if err := os.WriteFile(next, []byte(newPassword), 0o600); err != nil {
		return err
	}
	return os.Rename(next, w.passwordFile())
}

// whileDenied forbids the user what acls name, for a while.
func (w *world) whileDenied(ctx context.Context, what string, acls *kadm.ACLBuilder) error {
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	acls.Deny(kafkaUser).DenyHosts("*")
	defer w.faults.begin(what)()
	if err := w.createACLs(ctx, acls); err != nil {
		return fmt.Errorf("forbid: %w", err)
	}
	if err := sleep(ctx, denied); err != nil {
		return err
	}
	if _, err := w.admin.DeleteACLs(ctx, acls); err != nil {
		return fmt.Errorf("allow again: %w", err)
	}
	return nil
}
