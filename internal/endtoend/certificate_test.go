//go:build realkafka

package endtoend

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/security"
)

// TestCertificateIsRenewed replaces a client's certificate while the client runs.
// Apache Kafka tells who it takes the client for: only the new one may see the topic.
func TestCertificateIsRenewed(t *testing.T) {
	s := newSecured(t, "old", "new")
	if _, err := s.adm.CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	s.grant("new", admin.Right{Resource: kmsg.ACLResourceTypeTopic, Name: "orders", Operation: kmsg.ACLOperationDescribe})
	at := s.kafka.Secure()
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	ca, oldPair, newPair := read(at.CA), read(at.Cert("old")), read(at.Cert("new"))
	files := security.Config{TLS: true, CA: s.file("ca", ca), Cert: s.file("cert", oldPair), Key: s.file("key", oldPair)}
	log := new(lockedBuffer)
	secure, err := files.Options(zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	client := func() *kadm.Client {
		cl, err := kgo.NewClient(append(connect.Options(at.TLS, "test", zerolog.Nop()), secure...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return kadm.NewClient(cl)
	}
	sees := func(adm *kadm.Client) bool {
		t.Helper()
		topics, err := adm.ListTopics(t.Context(), "orders")
		if err == nil {
			err = topics["orders"].Err
		}
		if err != nil && !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Fatal(err)
		}
		return err == nil
	}

	long := client()
	if sees(long) {
		t.Fatal("the old certificate sees the topic: this test cannot fail")
	}
	// Somebody is in the middle of renewing them all.
	s.file("ca", ca[:len(ca)/2])
	s.file("cert", newPair)
	if sees(client()) {
		t.Error("half renewed: the new certificate is shown already")
	}
	if !strings.Contains(log.String(), "certificates cannot be read: those before are used") {
		t.Errorf("half renewed, and the log says %q", log)
	}
	s.file("ca", ca)
	s.file("key", newPair)
	if !sees(client()) {
		t.Error("renewed: a new connection shows the old certificate")
	}
	// The client that has run all the time connects again.
	if err := s.kafka.Kill(0); err != nil {
		t.Fatal(err)
	}
	if err := s.kafka.Start(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if !sees(long) {
		t.Error("renewed: the client connected again with the old certificate")
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
