//go:build unix

package security

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/kafkatest"
)

func TestSecurityThatDoesNotGoTogether(t *testing.T) {
	for _, tc := range []struct {
		s        Config
		password string // in the environment
		want     string // what the error has to hold; "" for none
	}{
		{s: Config{}},
		{s: Config{TLS: true}},
		{s: Config{TLS: true, CA: "ca.pem", Cert: "a.pem", Key: "b.pem"}},
		{s: Config{SASL: Plain, User: "me", PasswordFile: "p"}},
		{s: Config{SASL: ScramSHA512, User: "me"}, password: "secret"},
		{s: Config{SASL: OAuthBearer, TokenFile: "t"}},
		{s: Config{CA: "ca.pem"}, want: "--tls-ca ca.pem: it is for --tls, which is not set; set both or none"},
		{s: Config{Cert: "a.pem"}, want: "--tls-cert a.pem: it is for --tls"},
		{s: Config{Key: "b.pem"}, want: "--tls-key b.pem: it is for --tls"},
		{s: Config{TLS: true, Cert: "a.pem"}, want: "--tls-cert a.pem: its key is missing; name the file with --tls-key"},
		{s: Config{TLS: true, Key: "b.pem"}, want: "--tls-key b.pem: its certificate is missing; name the file with --tls-cert"},
		{s: Config{SASL: "kerberos"}, want: `--sasl "kerberos": write off, plain, scram-sha-256, scram-sha-512, oauthbearer or aws-msk-iam`},
		{s: Config{SASL: AWSMSKIAM, TLS: true}},
		{s: Config{SASL: AWSMSKIAM}, want: "--sasl aws-msk-iam needs --tls"},
		{s: Config{SASL: AWSMSKIAM, TLS: true, User: "me"}, want: "--sasl-user me: it is for --sasl plain, scram-sha-256 or scram-sha-512, and --sasl is aws-msk-iam"},
		{s: Config{User: "me"}, want: "--sasl-user me: it is for --sasl plain, scram-sha-256 or scram-sha-512, and --sasl is off"},
		{s: Config{SASL: OAuthBearer, TokenFile: "t", User: "me"}, want: "--sasl-user me: it is for --sasl plain, scram-sha-256 or scram-sha-512, and --sasl is oauthbearer"},
		{s: Config{PasswordFile: "p"}, want: "--sasl-password-file p: it is for --sasl plain"},
		{s: Config{SASL: Plain, User: "me", PasswordFile: "p", TokenFile: "t"}, want: "--sasl-token-file t: it is for --sasl oauthbearer, and --sasl is plain"},
		{s: Config{SASL: ScramSHA256}, want: "--sasl scram-sha-256 needs --sasl-user"},
		{s: Config{SASL: ScramSHA256, User: "me"}, want: "--sasl scram-sha-256 needs a password: name a file that holds it with --sasl-password-file, or set DELAYD_SASL_PASSWORD in the environment"},
		{s: Config{SASL: Plain, User: "me", PasswordFile: "p"}, password: "secret", want: "--sasl-password-file p, and DELAYD_SASL_PASSWORD is set in the environment too; leave one out"},
		{s: Config{SASL: OAuthBearer}, want: "--sasl oauthbearer needs --sasl-token-file"},
	} {
		t.Setenv(PasswordEnv, tc.password)
		err := tc.s.Validate()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: error %v, want %q", tc.s, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: the error shows the password: %v", tc.s, err)
		}
	}
}

// A wrong file is reported at the start, with its flag, its name, and nothing
// of what is in it.
func TestSecurityFilesThatAreWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certs, err := kafkatest.NewCerts(dir, "me", "you")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) string { return writeFile(t, filepath.Join(dir, name), content) }
	empty, lines, secret := write("empty", "\n"), write("lines", "hush\nhush\n"), write("large", strings.Repeat("hush", maxFile))
	for _, tc := range []struct {
		s    Config
		want string
	}{
		{Config{TLS: true, CA: dir + "/none"}, "--tls-ca: open " + dir + "/none: no such file"},
		{Config{TLS: true, CA: dir}, "--tls-ca: read " + dir + ": is a directory"},
		{Config{TLS: true, CA: lines}, "--tls-ca " + lines + ": no certificate in it"},
		{Config{TLS: true, Cert: dir + "/none", Key: certs.Cert("me")}, "--tls-cert: open "},
		{Config{TLS: true, Cert: certs.Cert("me"), Key: dir + "/none"}, "--tls-key: open "},
		{Config{TLS: true, Cert: certs.Cert("me"), Key: certs.Cert("you")}, "private key does not match public key"},
		{Config{TLS: true, Cert: certs.CA, Key: certs.CA}, "write both as PEM, the key without a password"},
		{Config{SASL: Plain, User: "me", PasswordFile: empty}, "--sasl-password-file " + empty + ": the file is empty"},
		{Config{SASL: ScramSHA256, User: "me", PasswordFile: lines}, "--sasl-password-file " + lines + ": write one line, and nothing else"},
		{Config{SASL: ScramSHA512, User: "me", PasswordFile: secret}, "--sasl-password-file " + secret + ": larger than"},
		{Config{SASL: OAuthBearer, TokenFile: dir + "/none"}, "--sasl-token-file: open "},
	} {
		_, err := tc.s.Options(zerolog.Nop())
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%+v: error %v, want %q", tc.s, err, tc.want)
		}
	}
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// newCerts makes certificates in dir, and what a broker shows of them.
func newCerts(t *testing.T, dir string, clients ...string) (kafkatest.Certs, *tls.Config) {
	t.Helper()
	certs, err := kafkatest.NewCerts(dir, append(clients, "broker")...)
	if err != nil {
		t.Fatal(err)
	}
	server, err := certs.Server("broker")
	if err != nil {
		t.Fatal(err)
	}
	return certs, server
}

// broker starts one that wants TLS, and a login unless ways is empty: method, user
// and password of each.
func broker(t *testing.T, tls *tls.Config, ways ...[3]string) *kfake.Cluster {
	t.Helper()
	opts := []kfake.Opt{kfake.TLS(tls)}
	if len(ways) > 0 {
		opts = append(opts, kfake.EnableSASL())
	}
	for _, w := range ways {
		opts = append(opts, kfake.Superuser(w[0], w[1], w[2]))
	}
	return fakekafka.Start(t, opts...)
}

// ping connects and asks something.
func ping(t *testing.T, c *kfake.Cluster, s Config) error {
	t.Helper()
	secure, err := s.Options(zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(connect.Options(c.ListenAddrs(), "test", zerolog.Nop()), secure...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return cl.Ping(ctx)
}

func TestWaysToLogIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certs, server := newCerts(t, dir)
	c := broker(t, server,
		[3]string{"PLAIN", "plain", "hush"}, [3]string{"SCRAM-SHA-256", "small", "hush"}, [3]string{"SCRAM-SHA-512", "large", "hush"})
	password := writeFile(t, filepath.Join(dir, "password"), "hush\n")
	for _, s := range []Config{
		{SASL: Plain, User: "plain"},
		{SASL: ScramSHA256, User: "small"},
		{SASL: ScramSHA512, User: "large"},
	} {
		s.TLS, s.CA, s.PasswordFile = true, certs.CA, password
		if err := ping(t, c, s); err != nil {
			t.Errorf("%s: %v", s.SASL, err)
		}
	}
	good := Config{TLS: true, CA: certs.CA, SASL: ScramSHA512, User: "large", PasswordFile: password}
	for want, change := range map[string]func(*Config){
		"the brokers hang up at the login; see whether they take --sasl scram-sha-512, and that user": func(s *Config) {
			s.PasswordFile = writeFile(t, filepath.Join(dir, "wrong"), "wrong")
		},
		"name who signed the brokers' certificates with --tls-ca":    func(s *Config) { s.CA = "" },
		"--tls-ca " + dir + "/other/ca.pem does not hold who signed": func(s *Config) { s.CA = otherAuthority(t, dir) },
		"if the brokers want TLS or SASL there, set --tls or --sasl": func(s *Config) { *s = Config{} },
	} {
		s := good
		change(&s)
		err := ping(t, c, s)
		if err == nil || !strings.Contains(s.Hint(err), want) {
			t.Errorf("error %v, hint %q, want %q", err, s.Hint(err), want)
		}
	}
}

// otherAuthority makes one with which nobody has anything to do.
func otherAuthority(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, "other"), 0o755); err != nil {
		t.Fatal(err)
	}
	certs, err := kafkatest.NewCerts(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	return certs.CA
}

// The certificate is the one that is in the files when a connection is made. While
// they do not fit together it is the one before.
func TestClientCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certs, server := newCerts(t, dir, "old", "new")
	shown := make(chan string, 10)
	server.ClientAuth = tls.RequireAnyClientCert
	server.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
		cert, err := x509.ParseCertificate(raw[0])
		if err == nil {
			shown <- cert.Subject.CommonName
		}
		return err
	}
	c := broker(t, server)
	s := Config{TLS: true, CA: certs.CA, Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")}
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	oldPair, newPair := read(certs.Cert("old")), read(certs.Cert("new"))
	writeFile(t, s.Cert, oldPair)
	writeFile(t, s.Key, oldPair)
	secure, err := s.Options(zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	dial := func(want string) {
		t.Helper()
		cl, err := kgo.NewClient(append(connect.Options(c.ListenAddrs(), "test", zerolog.Nop()), secure...)...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := cl.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-shown; got != want {
			t.Errorf("shown the certificate of %s, want %s", got, want)
		}
	}
	dial("old")
	writeFile(t, s.Cert, newPair)
	dial("old") // the key is not there yet
	writeFile(t, s.Key, newPair)
	dial("new")
	os.Remove(s.Key)
	dial("new")
}

// Who may have signed the brokers' certificates is what is in the file when a
// connection is made; a file that cannot be used leaves what was there before, and
// that is logged once.
func TestAuthoritiesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certs, server := newCerts(t, dir)
	c := broker(t, server)
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	good, other := read(certs.CA), read(otherAuthority(t, dir))
	s := Config{TLS: true, CA: writeFile(t, filepath.Join(dir, "authorities"), good)}
	var log bytes.Buffer
	secure, err := s.Options(zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	dial := func(warnings int) error {
		t.Helper()
		log.Reset()
		cl, err := kgo.NewClient(append(connect.Options(c.ListenAddrs(), "test", zerolog.Nop()), secure...)...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err = cl.Ping(ctx)
		cl.Close() // nobody writes to the log from here on
		if got := strings.Count(log.String(), "those before are used"); got != warnings {
			t.Errorf("%d warnings, want %d\n%s", got, warnings, log.String())
		}
		return err
	}
	for _, step := range []struct {
		name, content string
		warnings      int
		refused       bool
	}{
		{name: "as at the start", content: good},
		{name: "of another authority", content: other, refused: true},
		{name: "of both", content: other + good},
		{name: "half of it written", content: other + good[:len(good)/2], warnings: 1},
		{name: "the same half still", content: other + good[:len(good)/2]},
		{name: "empty", content: "", warnings: 1},
		{name: "fixed", content: good},
		{name: "empty again", content: "", warnings: 1},
	} {
		writeFile(t, s.CA, step.content)
		err := dial(step.warnings)
		var unknown x509.UnknownAuthorityError
		if step.refused != errors.As(err, &unknown) || !step.refused && err != nil {
			t.Errorf("%s: error %v, want one: %v", step.name, err, step.refused)
		}
	}
}

// Without a certificate that a broker wants, the hint names the flags.
func TestHintAtACertificate(t *testing.T) {
	t.Parallel()
	certs, server := newCerts(t, t.TempDir())
	server.ClientAuth = tls.RequireAnyClientCert
	c := broker(t, server)
	s := Config{TLS: true, CA: certs.CA}
	const want = "the brokers ask for a certificate; set --tls-cert and --tls-key"
	if err := ping(t, c, s); err == nil || s.Hint(err) != want {
		t.Errorf("error %v, hint %q, want %q", err, s.Hint(err), want)
	}
}

// A certificate for another name is reported with its names, and one without any as such.
func TestHintOfNames(t *testing.T) {
	many := []string{"k1", "k2", "k3", "k4", "k5", "k6", "k7"}
	for _, tc := range []struct {
		cert *x509.Certificate
		want string
	}{
		{&x509.Certificate{Subject: pkix.Name{CommonName: "kafka"}}, `no subject alternative name (SAN), and its common name "kafka" does not count`},
		{&x509.Certificate{Subject: pkix.Name{CommonName: "\x1b[2J"}}, `its common name "\x1b[2J" does not count`},
		{&x509.Certificate{DNSNames: []string{"kafka-1.internal"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}}, "is for kafka-1.internal, 10.0.0.1; name the brokers so with --brokers"},
		{&x509.Certificate{DNSNames: []string{"\x1b[2J"}}, `is for \x1b[2J;`},
		{&x509.Certificate{DNSNames: many}, "is for k1, k2, k3, k4, k5 and 2 more;"},
	} {
		err := fmt.Errorf("dial: %w", &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: tc.cert, Host: "kafka"}})
		if got := (Config{TLS: true}).Hint(err); !strings.Contains(got, tc.want) {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
