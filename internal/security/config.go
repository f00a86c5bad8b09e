// Package security says how a client's connections are protected, and as whom it
// comes: TLS, certificates, and the mechanisms of SASL.
//
// It is apart from package connect because of what it needs: whoever embeds the
// router or the forwarder brings options of franz-go. Nothing of AWS is here: the program
// brings it as [Config.AWS].
package security

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// PasswordEnv is the variable of the environment that may hold the password of
// SASL. It is no flag: everyone on a machine can read its command lines.
const PasswordEnv = "DELAYD_SASL_PASSWORD"

// Mechanism is how a client says who it is. Its text is the flag's value.
type Mechanism string

// The mechanisms.
const (
	NoSASL      Mechanism = "off"
	Plain       Mechanism = "plain"
	ScramSHA256 Mechanism = "scram-sha-256"
	ScramSHA512 Mechanism = "scram-sha-512"
	OAuthBearer Mechanism = "oauthbearer"
	AWSMSKIAM   Mechanism = "aws-msk-iam" // users and roles of AWS, at Amazon MSK
)

// Config says how connections are protected, and as whom we come. The zero
// value is connections in plain text as nobody.
//
// It holds names of files and no secrets: what is in them is read when a
// connection is made, so that a secret can be changed while the process runs.
type Config struct {
	// TLS encrypts, and checks that a broker is the one that was asked for.
	TLS bool
	// CA is a file of certificates in PEM that may have signed those of brokers.
	// Empty: those that the machine trusts.
	CA string
	// Cert and Key are the client's certificate and its key, in PEM, for brokers
	// that ask for one.
	Cert, Key string
	// DialTimeout bounds a connection's start, the handshake of TLS included. 0 is
	// [DialTimeout]. It counts with TLS alone: [kgo.DialTimeout] is for the rest.
	DialTimeout time.Duration

	// SASL is the mechanism; "" is NoSASL.
	SASL Mechanism
	// User is whom Plain and SCRAM log in.
	User string
	// PasswordFile holds the user's password. Empty: the variable [PasswordEnv]
	// holds it.
	PasswordFile string
	// TokenFile holds the token of OAuthBearer. Who puts it there replaces it
	// before it expires.
	TokenFile string
	// AWS makes the mechanism of AWSMSKIAM, which takes Amazon's SDK.
	AWS func() (sasl.Mechanism, error)
}

// Off reports whether nothing is protected.
func (s Config) Off() bool { return !s.TLS && s.mechanism() == NoSASL }

func (s Config) mechanism() Mechanism {
	if s.SASL == "" {
		return NoSASL
	}
	return s.SASL
}

// byPassword reports whether the mechanism asks for a user and a password.
func (s Config) byPassword() bool {
	return s.SASL == Plain || s.SASL == ScramSHA256 || s.SASL == ScramSHA512
}

// Validate reports the first setting that does not go with the others, by its
// flag. It reads no file.
func (s Config) Validate() error {
	const needsTLS = "%s %s: it is for --tls, which is not set; set both or none"
	switch {
	case s.CA != "" && !s.TLS:
		return fmt.Errorf(needsTLS, "--tls-ca", s.CA)
	case s.Cert != "" && !s.TLS:
		return fmt.Errorf(needsTLS, "--tls-cert", s.Cert)
	case s.Key != "" && !s.TLS:
		return fmt.Errorf(needsTLS, "--tls-key", s.Key)
	case s.Cert != "" && s.Key == "":
		return fmt.Errorf("--tls-cert %s: its key is missing; name the file with --tls-key, which may be the same", s.Cert)
	case s.Key != "" && s.Cert == "":
		return fmt.Errorf("--tls-key %s: its certificate is missing; name the file with --tls-cert, which may be the same", s.Key)
	}
	return s.validateSASL()
}

func (s Config) validateSASL() error {
	const passwords = "plain, scram-sha-256 or scram-sha-512"
	switch m := s.mechanism(); m {
	case NoSASL, Plain, ScramSHA256, ScramSHA512, OAuthBearer, AWSMSKIAM:
	default:
		return fmt.Errorf("--sasl %q: write off, plain, scram-sha-256, scram-sha-512, oauthbearer or aws-msk-iam", m)
	}
	switch {
	case s.User != "" && !s.byPassword():
		return fmt.Errorf("--sasl-user %s: it is for --sasl %s, and --sasl is %s", s.User, passwords, s.mechanism())
	case s.PasswordFile != "" && !s.byPassword():
		return fmt.Errorf("--sasl-password-file %s: it is for --sasl %s, and --sasl is %s", s.PasswordFile, passwords, s.mechanism())
	case s.TokenFile != "" && s.SASL != OAuthBearer:
		return fmt.Errorf("--sasl-token-file %s: it is for --sasl oauthbearer, and --sasl is %s", s.TokenFile, s.mechanism())
	case s.byPassword() && s.User == "":
		return fmt.Errorf("--sasl %s needs --sasl-user", s.SASL)
	case s.byPassword() && s.PasswordFile == "" && os.Getenv(PasswordEnv) == "":
		return fmt.Errorf("--sasl %s needs a password: name a file that holds it with --sasl-password-file, or set %s in the environment", s.SASL, PasswordEnv)
	case s.byPassword() && s.PasswordFile != "" && os.Getenv(PasswordEnv) != "":
		return fmt.Errorf("--sasl-password-file %s, and %s is set in the environment too; leave one out", s.PasswordFile, PasswordEnv)
	case s.SASL == AWSMSKIAM && !s.TLS:
		return fmt.Errorf("--sasl aws-msk-iam needs --tls: Amazon MSK takes it no other way")
	case s.SASL == OAuthBearer && s.TokenFile == "":
		return fmt.Errorf("--sasl oauthbearer needs --sasl-token-file, a file that holds the token")
	}
	return nil
}

// Exposed says what goes over the network in the clear that should not, "" for
// nothing.
func (s Config) Exposed() string {
	switch {
	case s.TLS:
		return ""
	case s.SASL == Plain:
		return "the password"
	case s.SASL == OAuthBearer:
		return "the token"
	}
	return ""
}

// Options are the options of a client that connects so. They fail where a file
// cannot be read or does not hold what it should; log tells of that later on.
func (s Config) Options(log zerolog.Logger) ([]kgo.Opt, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	var opts []kgo.Opt
	if s.TLS {
		d := &dialer{files: s, log: log}
		if err := d.load(); err != nil {
			return nil, err
		}
		opts = append(opts, kgo.Dialer(d.dial))
	}
	mechanism, err := s.login()
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// login is the mechanism of SASL, nil for none. Secrets are read for each login,
// and once here, so that a mistake shows at the start.
func (s Config) login() (sasl.Mechanism, error) {
	switch s.mechanism() {
	case NoSASL:
		return nil, nil
	case AWSMSKIAM:
		if s.AWS == nil {
			return nil, fmt.Errorf("--sasl %s: this program has no SDK of AWS; run delayd itself", AWSMSKIAM)
		}
		return s.AWS()
	case OAuthBearer:
		token := func(context.Context) (oauth.Auth, error) {
			token, err := ReadSecret("--sasl-token-file", s.TokenFile)
			return oauth.Auth{Token: token}, err
		}
		_, err := token(context.Background())
		return oauth.Oauth(token), err
	}
	if _, err := s.password(); err != nil {
		return nil, err
	}
	salted := func(context.Context) (scram.Auth, error) {
		password, err := s.password()
		return scram.Auth{User: s.User, Pass: password}, err
	}
	switch s.SASL {
	case ScramSHA256:
		return scram.Sha256(salted), nil
	case ScramSHA512:
		return scram.Sha512(salted), nil
	}
	return plain.Plain(func(context.Context) (plain.Auth, error) {
		password, err := s.password()
		return plain.Auth{User: s.User, Pass: password}, err
	}), nil
}

func (s Config) password() (string, error) {
	if s.PasswordFile == "" {
		return os.Getenv(PasswordEnv), nil
	}
	return ReadSecret("--sasl-password-file", s.PasswordFile)
}

// maxFile bounds what is read of a file that a flag names: a bundle of all the
// certificates of the world is a quarter of it.
const maxFile = 1 << 20

func readFile(flag, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("%s %s: larger than %d bytes", flag, name, maxFile)
	}
	return data, nil
}

// ReadSecret is what a file holds, without the end of its line. Nothing of it is
// in the error.
func ReadSecret(flag, name string) (string, error) {
	data, err := readFile(flag, name)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(data), "\r\n")
	switch {
	case secret == "":
		return "", fmt.Errorf("%s %s: the file is empty", flag, name)
	case strings.ContainsAny(secret, "\r\n\x00"):
		return "", fmt.Errorf("%s %s: write one line, and nothing else", flag, name)
	}
	return secret, nil
}

// What franz-go has no error value for.
const (
	refusedToken = "unexpected data in oauth response" // the broker's reason, which it drops
	tlsAlert     = "tls alert record"                  // the first bytes of an answer
	noHandshake  = "immediately after a dial"          // hung up on the first bytes of TLS
	noRegion     = "cannot determine the region"       // of AWS, from the broker's name
)

// Hint says what is likely to be wrong with the settings where a connection
// fails with err, "" where nothing is known.
func (s Config) Hint(err error) string {
	var notTLS tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case s.SASL == OAuthBearer && (errors.Is(err, kerr.SaslAuthenticationFailed) || strings.Contains(err.Error(), refusedToken)):
		return "the brokers refuse the token in --sasl-token-file " + s.TokenFile
	case s.SASL == AWSMSKIAM && errors.Is(err, kerr.SaslAuthenticationFailed):
		return "the brokers refuse these credentials of AWS; see that they are allowed kafka-cluster:Connect on this cluster"
	case s.SASL == AWSMSKIAM && strings.Contains(err.Error(), noRegion):
		return "set AWS_REGION to the region of the cluster, which the names of these brokers do not tell"
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Sprintf("the brokers refuse --sasl-user %s with that password", s.User)
	case errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return fmt.Sprintf("the brokers do not take --sasl %s there", s.mechanism())
	case errors.As(err, &notTLS), s.TLS && strings.Contains(err.Error(), noHandshake):
		return "nobody seems to speak TLS there; leave --tls out, or name the port that does with --brokers"
	case errors.As(err, &unknown) && s.CA == "":
		return "name who signed the brokers' certificates with --tls-ca"
	case errors.As(err, &unknown):
		return fmt.Sprintf("--tls-ca %s does not hold who signed the brokers' certificates", s.CA)
	case errors.As(err, &host):
		return hostHint(host)
	case errors.Is(err, io.EOF) && !s.TLS && s.mechanism() != NoSASL:
		return fmt.Sprintf("the brokers hang up at the login; see whether they take --sasl %s, and that user, and set --tls if they want TLS there", s.SASL)
	case (errors.Is(err, io.EOF) || strings.Contains(err.Error(), tlsAlert)) && !s.TLS:
		return "if the brokers want TLS or SASL there, set --tls or --sasl"
	case errors.Is(err, io.EOF) && s.mechanism() != NoSASL:
		return fmt.Sprintf("the brokers hang up at the login; see whether they take --sasl %s, and that user", s.SASL)
	case isAlert(err) && s.Cert == "":
		return "the brokers ask for a certificate; set --tls-cert and --tls-key"
	case isAlert(err):
		return fmt.Sprintf("the brokers refuse --tls-cert %s", s.Cert)
	}
	return ""
}

// shownNames is how many names of a certificate a hint shows.
const shownNames = 5

// hostHint says what to do about a broker whose certificate is for another name, or for
// none: the common name of its subject does not count.
func hostHint(e x509.HostnameError) string {
	var names []string
	for _, name := range e.Certificate.DNSNames {
		names = append(names, strings.Trim(strconv.QuoteToASCII(name), `"`))
	}
	for _, ip := range e.Certificate.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return fmt.Sprintf("the certificate of this broker has no subject alternative name (SAN), and its common name %+q does not count; "+
			"have the brokers' certificates made anew, with their host names as DNS names", e.Certificate.Subject.CommonName)
	}
	more := ""
	if n := len(names) - shownNames; n > 0 {
		names, more = names[:shownNames], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("the certificate of this broker is for %s%s; name the brokers so with --brokers, and in their advertised.listeners, "+
		"or have certificates made for %s", strings.Join(names, ", "), more, e.Host)
}

// isAlert reports whether the other side has ended a TLS connection with a
// reason, which is about our certificate once it has shown its own.
func isAlert(err error) bool {
	var alert tls.AlertError
	return errors.As(err, &alert) || strings.Contains(err.Error(), "remote error: tls: ")
}
