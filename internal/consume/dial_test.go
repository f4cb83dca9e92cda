package consume

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sinker/internal/local/localtest"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ping dials and asks for the topics.
func ping(t *testing.T, d Dial) error {
	t.Helper()
	opts, err := d.Options()
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(append(opts, kgo.RetryTimeout(time.Second), kgo.RequestRetries(1))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return cl.Ping(ctx)
}

func TestSASL(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			c := localtest.Kafka(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "app", "right"))
			d := Dial{Brokers: c.ListenAddrs(), SASL: &SASL{Mechanism: mechanism, Username: "app", Password: "right"}}
			if err := ping(t, d); err != nil {
				t.Errorf("right password: %v", err)
			}
			file := filepath.Join(t.TempDir(), "password")
			if err := os.WriteFile(file, []byte("right\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			d.SASL = &SASL{Mechanism: mechanism, Username: "app", PasswordFile: file}
			if err := ping(t, d); err != nil {
				t.Errorf("password from a file: %v", err)
			}
			d.SASL = &SASL{Mechanism: mechanism, Username: "app", Password: "wr0ng-s3cret"}
			err := ping(t, d)
			if err == nil || strings.Contains(err.Error(), "wr0ng-s3cret") {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
	t.Run("OAUTHBEARER", func(t *testing.T) {
		m, err := (&SASL{Mechanism: "OAUTHBEARER", Token: "token", Extensions: map[string]string{"logicalCluster": "lkc-1"}}).mechanism()
		if err != nil || m.Name() != "OAUTHBEARER" {
			t.Fatalf("%v, %v", m, err)
		}
		_, first, err := m.Authenticate(context.Background(), "host")
		if err != nil || !strings.Contains(string(first), "auth=Bearer token") || !strings.Contains(string(first), "logicalCluster=lkc-1") {
			t.Errorf("%q, %v", first, err)
		}
	})
	t.Run("MissingFile", func(t *testing.T) {
		_, err := Dial{SASL: &SASL{Mechanism: "PLAIN", PasswordFile: "/nowhere/password"}}.Options()
		if err == nil || !strings.Contains(err.Error(), "/nowhere/password") {
			t.Error(err)
		}
	})
}

// authority makes certificates for one test.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, dir: t.TempDir(), key: key}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue makes NAME.pem and NAME-key.pem for 127.0.0.1.
func (a *authority) issue(name string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+"-key.pem", "PRIVATE KEY", private)
	pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+"-key.pem"))
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	server := a.issue("server")
	a.issue("client")
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := localtest.Kafka(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}))
	good := TLS{CA: a.path("ca.pem"), Cert: a.path("client.pem"), Key: a.path("client-key.pem")}

	t.Run("CAAndClientCertificate", func(t *testing.T) {
		if err := ping(t, Dial{Brokers: c.ListenAddrs(), TLS: &good}); err != nil {
			t.Error(err)
		}
	})
	t.Run("RenewedFilesAreRead", func(t *testing.T) {
		opts, err := Dial{Brokers: c.ListenAddrs(), TLS: &good}.Options()
		if err != nil {
			t.Fatal(err)
		}
		a.issue("client") // another key, between the options and the dial
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := cl.Ping(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for name, bad := range map[string]*TLS{"Plaintext": nil, "NoClientCertificate": {CA: good.CA}, "UnknownAuthority": {Cert: good.Cert, Key: good.Key}, "WrongName": {CA: good.CA, Cert: good.Cert, Key: good.Key, ServerName: "other"}} {
		t.Run(name, func(t *testing.T) {
			if err := ping(t, Dial{Brokers: c.ListenAddrs(), TLS: bad}); err == nil {
				t.Error("connected")
			}
		})
	}
	t.Run("NoSuchFile", func(t *testing.T) {
		_, err := Dial{TLS: &TLS{CA: "/nowhere/ca.pem"}}.Options()
		if err == nil || !strings.Contains(err.Error(), "kafka.tls.ca") {
			t.Error(err)
		}
	})
	t.Run("NoCertificateInTheFile", func(t *testing.T) {
		a.write("empty.pem", "NOTHING", nil)
		_, err := Dial{TLS: &TLS{CA: a.path("empty.pem")}}.Options()
		if err == nil || !strings.Contains(err.Error(), "holds no certificate") {
			t.Error(err)
		}
	})
}
