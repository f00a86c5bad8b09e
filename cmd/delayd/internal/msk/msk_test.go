//go:build unix

package msk

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/internal/security"
)

// The keys that Amazon's documentation shows.
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// noAWS takes what this machine may know of AWS out of the environment, and returns
// the file with the credentials.
func noAWS(t *testing.T) (shared string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // put back after the test
			os.Unsetenv(name)
		}
	}
	dir := t.TempDir()
	shared = filepath.Join(dir, "credentials")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", shared)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true") // a machine of Amazon's has a role
	return shared
}

// login is what an Amazon MSK broker is sent.
type login struct {
	mechanism string
	claims    map[string]string
}

// awsBroker starts a broker that wants a login, and takes any. kfake knows others
// than Amazon's.
func awsBroker(t *testing.T) (s security.Config, addrs []string, logins <-chan login) {
	t.Helper()
	certs, err := kafkatest.NewCerts(t.TempDir(), "broker")
	if err != nil {
		t.Fatal(err)
	}
	server, err := certs.Server("broker")
	if err != nil {
		t.Fatal(err)
	}
	c := fakekafka.Start(t, kfake.TLS(server))
	seen := make(chan login, 10)
	var mechanism string // kfake asks for one request after another
	c.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mechanism = req.(*kmsg.SASLHandshakeRequest).Mechanism
		resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.SupportedMechanisms = []string{mechanism}
		return resp, nil, true
	})
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		l := login{mechanism: mechanism}
		if err := json.Unmarshal(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes, &l.claims); err != nil {
			resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		}
		seen <- l
		resp.SASLAuthBytes = []byte(`{"version":"2020_10_22","request-id":"x"}`)
		return resp, nil, true
	})
	return security.Config{TLS: true, CA: certs.CA, SASL: security.AWSMSKIAM, AWS: Mechanism}, c.ListenAddrs(), seen
}

// The login is of the form that Amazon's own client documents, in the name of the
// keys that the environment or the shared file has at the time.
func TestLoginAtMSK(t *testing.T) {
	shared := noAWS(t)
	t.Setenv("AWS_REGION", "eu-central-1")
	s, addrs, logins := awsBroker(t)
	secure, err := s.Options(zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	dial := func() login {
		t.Helper()
		cl, err := kgo.NewClient(append(connect.Options(addrs, "test", zerolog.Nop()), secure...)...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := cl.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		return <-logins
	}
	profile := func(key, secret, token string) {
		writeFile(t, shared, fmt.Sprintf("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\naws_session_token=%s\n", key, secret, token))
	}

	profile(exampleKey, exampleSecret, "")
	got := dial()
	day := time.Now().UTC().Format("20060102")
	for claim, want := range map[string]string{
		"version": "2020_10_22", "host": "127.0.0.1", "action": "kafka-cluster:Connect",
		"x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-signedheaders": "host", "x-amz-security-token": "",
		"x-amz-credential": exampleKey + "/" + day + "/eu-central-1/kafka-cluster/aws4_request",
	} {
		if got.claims[claim] != want {
			t.Errorf("%s: %q, want %q", claim, got.claims[claim], want)
		}
	}
	if got.mechanism != "AWS_MSK_IAM" || len(got.claims["x-amz-signature"]) != 64 {
		t.Errorf("mechanism %q, signature %q", got.mechanism, got.claims["x-amz-signature"])
	}
	if strings.Contains(fmt.Sprint(got.claims), exampleSecret) {
		t.Errorf("the secret is sent: %v", got.claims)
	}

	profile("AKIAROTATED", exampleSecret, "session")
	got = dial()
	if !strings.HasPrefix(got.claims["x-amz-credential"], "AKIAROTATED/") || got.claims["x-amz-security-token"] != "session" {
		t.Errorf("the file was replaced, and the login is %v", got.claims)
	}

	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
	t.Setenv("AWS_SECRET_ACCESS_KEY", exampleSecret)
	if got = dial(); !strings.HasPrefix(got.claims["x-amz-credential"], "AKIAENVIRONMENT/") {
		t.Errorf("the environment has keys, and the login is %v", got.claims)
	}
}

// Credentials that expire are used until they nearly do.
func TestCredentialsOfARole(t *testing.T) {
	noAWS(t)
	count := filepath.Join(t.TempDir(), "count")
	role := func(expires time.Duration) {
		writeFile(t, os.Getenv("AWS_CONFIG_FILE"), fmt.Sprintf("[default]\ncredential_process = echo x >> %s; echo '%s'\n", count,
			fmt.Sprintf(`{"Version":1,"AccessKeyId":"a","SecretAccessKey":"b","SessionToken":"c","Expiration":%q}`, time.Now().Add(expires).UTC().Format(time.RFC3339))))
	}
	asked := func() int {
		data, _ := os.ReadFile(count)
		return strings.Count(string(data), "x")
	}
	c := new(credentials)
	for i, step := range []struct {
		expires time.Duration
		want    int // how often somebody was asked for credentials so far
	}{{margin / 2, 1}, {time.Hour, 2}, {time.Hour, 2}} {
		role(step.expires)
		if auth, err := c.auth(t.Context()); err != nil || auth.AccessKey != "a" || auth.SessionToken != "c" {
			t.Fatalf("%+v, %v", auth.AccessKey, err)
		}
		if got := asked(); got != step.want {
			t.Errorf("step %d: asked %d times, want %d", i, got, step.want)
		}
	}
}

func TestLoginAtMSKThatFails(t *testing.T) {
	noAWS(t)
	s, addrs, logins := awsBroker(t)
	try := func() error {
		t.Helper()
		secure, err := s.Options(zerolog.Nop())
		if err != nil {
			return err
		}
		cl, err := kgo.NewClient(append(connect.Options(addrs, "test", zerolog.Nop()), secure...)...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return cl.Ping(ctx)
	}
	if err := try(); err == nil || !strings.Contains(err.Error(), "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE") {
		t.Errorf("without credentials: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", exampleKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", exampleSecret)
	err := try()
	if err == nil || !strings.HasPrefix(s.Hint(err), "set AWS_REGION ") || strings.Contains(err.Error(), exampleSecret) {
		t.Errorf("without a region: %v; %s", err, s.Hint(err))
	}
	t.Setenv("AWS_PROFILE", "nobody")
	if err := try(); err == nil || !strings.Contains(err.Error(), "--sasl aws-msk-iam: read the settings of AWS: failed to get shared config profile, nobody") {
		t.Errorf("without the profile: %v", err)
	}
	if len(logins) != 0 {
		t.Error("something was sent all the same")
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
