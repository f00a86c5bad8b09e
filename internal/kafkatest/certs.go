//go:build unix

package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certLife is how long certificates and tokens are good for: longer than a test.
const certLife = 24 * time.Hour

// Certs are certificates of one authority, as files in PEM.
type Certs struct {
	CA  string // the authority's own
	dir string
}

// Cert is the file of someone's certificate and its key.
func (c Certs) Cert(name string) string { return filepath.Join(c.dir, name+".pem") }

// Server is the TLS of a broker that shows someone's certificate.
func (c Certs) Server(name string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.Cert(name), c.Cert(name))
	if err != nil {
		return nil, fmt.Errorf("load the certificate of %s: %w", name, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
}

// NewCerts makes an authority, and certificates of it in dir, which are good for
// both ends of a connection on 127.0.0.1. Who has been there gets a new one, of a
// new authority.
func NewCerts(dir string, names ...string) (Certs, error) {
	c := Certs{CA: filepath.Join(dir, "ca.pem"), dir: dir}
	if err := c.write(names); err != nil {
		return Certs{}, fmt.Errorf("make certificates: %w", err)
	}
	return c, nil
}

func (c Certs) write(names []string) error {
	authority := certTemplate("kafkatest", 1)
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.CA, encodePEM("CERTIFICATE", der), 0o644); err != nil {
		return err
	}
	for i, name := range names {
		cert := certTemplate(name, int64(2+i))
		cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		cert.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		if err := c.writeCert(name, cert, authority, key); err != nil {
			return err
		}
	}
	return nil
}

// writeCert writes the key first, as Kafka wants them in one file.
func (c Certs) writeCert(name string, cert, authority *x509.Certificate, signer *ecdsa.PrivateKey) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, authority, &key.PublicKey, signer)
	keyDER, keyErr := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(err, keyErr); err != nil {
		return err
	}
	return os.WriteFile(c.Cert(name), append(encodePEM("PRIVATE KEY", keyDER), encodePEM("CERTIFICATE", der)...), 0o600)
}

func certTemplate(name string, serial int64) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
