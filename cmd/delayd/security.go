package main

import (
	"os"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/cmd/delayd/internal/msk"
	"github.com/delayd-io/delayd/internal/security"
)

// securityFlags say how the brokers are connected to, and as whom. None of them
// is a secret: those are in files, or in the environment under names that are no
// flags.
type securityFlags struct {
	TLS     bool   `name:"tls" help:"Connect to the brokers by TLS."`
	TLSCA   string `name:"tls-ca" placeholder:"FILE" help:"Certificates (PEM) that may have signed those of the brokers (default: those that this machine trusts). Read again for each connection."`
	TLSCert string `name:"tls-cert" placeholder:"FILE" help:"Client certificate (PEM), for brokers that ask for one. Read again for each connection."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" help:"The key of --tls-cert (PEM, without a password). Read again for each connection."`

	SASL             string `name:"sasl" type:"choice" enum:"off,plain,scram-sha-256,scram-sha-512,oauthbearer,aws-msk-iam" default:"off" help:"How to log in: ${enum} (default: ${default}). aws-msk-iam takes what the environment says of AWS."`
	SASLUser         string `name:"sasl-user" placeholder:"USER" help:"Who logs in by a password."`
	SASLPasswordFile string `name:"sasl-password-file" placeholder:"FILE" help:"Holds the password; or it is in the environment as DELAYD_SASL_PASSWORD. Read again for each login."`
	SASLTokenFile    string `name:"sasl-token-file" placeholder:"FILE" help:"Holds the token of oauthbearer. Read again for each login."`
}

// security is what the flags say.
func (f securityFlags) security() security.Config {
	return security.Config{
		TLS: f.TLS, CA: f.TLSCA, Cert: f.TLSCert, Key: f.TLSKey,
		SASL: security.Mechanism(f.SASL), User: f.SASLUser, PasswordFile: f.SASLPasswordFile, TokenFile: f.SASLTokenFile,
		AWS: msk.Mechanism,
	}
}

// set names a flag that is set, "" for none.
func (f securityFlags) set() string {
	switch {
	case f.TLS:
		return "--tls"
	case f.SASL != "" && f.SASL != string(security.NoSASL):
		return "--sasl"
	}
	return ""
}

// secure are the options of clients that connect so, and for which a broker has
// dial to take a connection.
func (f securityFlags) secure(log zerolog.Logger, dial time.Duration) ([]kgo.Opt, error) {
	config := f.security()
	config.DialTimeout = dial
	opts, err := config.Options(log)
	if err != nil {
		return nil, usageError{err}
	}
	return opts, nil
}

// environ is the same for a process that we start. A password in the environment
// goes the same way: no command line shows it.
func (f securityFlags) environ() []string {
	vars := []string{"DELAYD_TLS=" + strconv.FormatBool(f.TLS)}
	for _, v := range []struct{ name, value string }{
		{"DELAYD_TLS_CA", f.TLSCA},
		{"DELAYD_TLS_CERT", f.TLSCert},
		{"DELAYD_TLS_KEY", f.TLSKey},
		{"DELAYD_SASL", f.SASL},
		{"DELAYD_SASL_USER", f.SASLUser},
		{"DELAYD_SASL_PASSWORD_FILE", f.SASLPasswordFile},
		{"DELAYD_SASL_TOKEN_FILE", f.SASLTokenFile},
		{security.PasswordEnv, os.Getenv(security.PasswordEnv)},
	} {
		if v.value != "" {
			vars = append(vars, v.name+"="+v.value)
		}
	}
	return vars
}
