//go:build unix

package kafkatest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/delayd-io/delayd/internal/process"
)

// The listeners of a secured cluster beside the one of [Cluster.Brokers].
const (
	listenerSASL = "SASL_SSL" // by password or token
	listenerTLS  = "SSL"      // by certificate
)

// brokerName is whose certificate the brokers show.
const brokerName = "broker"

// Secured makes the cluster ask everyone who they are and what they may do: with
// no ACL nobody may do anything. users can come in by each of the ways that
// [Cluster.Secure] tells. Only the plain listener of [Cluster.Brokers] lets
// everyone do everything: it is for the test itself, and for the brokers.
func Secured(users ...string) Option { return func(c *Config) { c.Users = users } }

// Secure is how users reach a secured cluster.
type Secure struct {
	SASL []string // addresses: TLS, and PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER
	TLS  []string // addresses: TLS, with the user's certificate
	Certs
}

// Password is the user's password.
func (Secure) Password(user string) string { return user + "-says-open-sesame" }

// Token is a token for the user, in the unsigned form that Kafka takes for tests.
func (Secure) Token(user string) string {
	now := time.Now()
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." +
		encode(fmt.Appendf(nil, `{"sub":%q,"iat":%d,"exp":%d}`, user, now.Unix(), now.Add(certLife).Unix())) + "."
}

// Secure tells how to reach a cluster that was started with [Secured].
func (c *Cluster) Secure() Secure { return c.secure }

// secureNodes adds what makes a cluster a secured one to its nodes' settings.
func secureNodes(dir string, nodes []*node, users []string) (Secure, error) {
	addrs, err := process.FreeAddrs(2 * len(nodes))
	if err != nil {
		return Secure{}, err
	}
	certs, err := NewCerts(dir, append(slices.Clone(users), brokerName)...)
	if err != nil {
		return Secure{}, err
	}
	s := Secure{SASL: addrs[:len(nodes)], TLS: addrs[len(nodes):], Certs: certs}
	for i, n := range nodes {
		p := n.properties
		p["listeners"] += "," + listenerSASL + "://" + s.SASL[i] + "," + listenerTLS + "://" + s.TLS[i]
		p["advertised.listeners"] += "," + listenerSASL + "://" + s.SASL[i] + "," + listenerTLS + "://" + s.TLS[i]
		p["listener.security.protocol.map"] += "," + listenerSASL + ":SASL_SSL," + listenerTLS + ":SSL"
		p["inter.broker.listener.name"] = "PLAINTEXT"
		maps.Copy(p, s.properties(users))
		for _, user := range users {
			for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
				n.formatArgs = append(n.formatArgs, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, user, s.Password(user)))
			}
		}
	}
	return s, nil
}

func (s Secure) properties(users []string) map[string]string {
	const security = "org.apache.kafka.common.security."
	login := "listener.name." + strings.ToLower(listenerSASL) + "."
	passwords := ""
	for _, user := range users {
		passwords += fmt.Sprintf(" user_%s=%q", user, s.Password(user))
	}
	return map[string]string{
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":           "User:ANONYMOUS", // who comes in by the plain listener

		"ssl.keystore.type":           "PEM",
		"ssl.keystore.location":       s.Cert(brokerName),
		"ssl.truststore.type":         "PEM",
		"ssl.truststore.location":     s.CA,
		"ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
		"listener.name." + strings.ToLower(listenerTLS) + ".ssl.client.auth": "required",

		"sasl.enabled.mechanisms":                "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		login + "plain.sasl.jaas.config":         security + "plain.PlainLoginModule required" + passwords + ";",
		login + "scram-sha-256.sasl.jaas.config": security + "scram.ScramLoginModule required;",
		login + "scram-sha-512.sasl.jaas.config": security + "scram.ScramLoginModule required;",
		login + "oauthbearer.sasl.jaas.config":   security + `oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
	}
}
