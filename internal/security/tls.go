package security

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// DialTimeout is how long a broker has to take a connection by TLS. It is
// franz-go's own time: whoever dials instead of it has to bound that.
const DialTimeout = 10 * time.Second

// dialer makes the connections of a client by TLS. The files are read again for
// each, so that a renewed certificate is used from the next connection on, with no
// restart. franz-go could dial by itself, but with one set of authorities for ever.
//
// While files cannot be used, as when one of two is replaced already or half of one
// is written, the last that could be are.
type dialer struct {
	files Config
	log   zerolog.Logger

	mu   sync.Mutex
	ca   *x509.CertPool   // guarded by mu; the last good one, nil for the machine's own
	cert *tls.Certificate // guarded by mu; the last good one, nil for none
	told string           // guarded by mu; the error that was logged last
}

// dial connects as [kgo.Dialer] wants it.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	by := &tls.Dialer{
		NetDialer: &net.Dialer{Timeout: cmp.Or(d.files.DialTimeout, DialTimeout)},
		Config:    d.config(host),
	}
	return by.DialContext(ctx, network, addr)
}

// config is for one connection to host.
func (d *dialer) config(host string) *tls.Config {
	d.reload()
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: d.ca}
	if d.cert != nil {
		// All brokers get it, also those that name authorities it is not of: their
		// answer tells more than a connection without one.
		cert := d.cert
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return cfg
}

// reload loads, and tells once of each way in which that fails.
func (d *dialer) reload() {
	err := d.load()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		d.told = ""
	case err.Error() != d.told:
		d.told = err.Error()
		d.log.Warn().Err(err).Msg("certificates cannot be read: those before are used")
	}
}

// load reads the files. What cannot be used leaves what was there.
func (d *dialer) load() error {
	ca, errCA := d.files.authorities()
	cert, errCert := d.files.certificate()
	d.mu.Lock()
	defer d.mu.Unlock()
	if errCA == nil {
		d.ca = ca
	}
	if errCert == nil {
		d.cert = cert
	}
	return errors.Join(errCA, errCert)
}

// authorities are who may have signed the brokers' certificates, nil for those
// that the machine trusts.
func (s Config) authorities() (*x509.CertPool, error) {
	if s.CA == "" {
		return nil, nil
	}
	data, err := readFile("--tls-ca", s.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf(`--tls-ca %s: no certificate in it; write PEM, which begins with "%s"`, s.CA, beginCertificate)
	}
	if endsWithin(data) {
		return nil, fmt.Errorf("--tls-ca %s: it ends in the middle of a certificate; write all of it", s.CA)
	}
	return pool, nil
}

const beginCertificate = "-----BEGIN CERTIFICATE-----"

// endsWithin reports whether the last certificate has no end, as while somebody
// writes the file: those before it would do for some brokers and not for others.
func endsWithin(data []byte) bool {
	block, rest := pem.Decode(data)
	for block != nil {
		data = rest
		block, rest = pem.Decode(data)
	}
	return bytes.Contains(data, []byte(beginCertificate))
}

// certificate is the client's own, nil for none.
func (s Config) certificate() (*tls.Certificate, error) {
	if s.Cert == "" {
		return nil, nil
	}
	certs, err := readFile("--tls-cert", s.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readFile("--tls-key", s.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certs, key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s and --tls-key %s: %w; write both as PEM, the key without a password", s.Cert, s.Key, err)
	}
	return &pair, nil
}
