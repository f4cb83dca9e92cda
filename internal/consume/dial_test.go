package consume

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sinker/internal/local/localtest"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ping dials and asks for the topics.
func ping(t *testing.T, d Dial) error {
	t.Helper()
	opts, err := d.Options()
	if err != nil {
		return err
	}
	return d.Explain(pingWith(t, opts))
}

func pingWith(t *testing.T, opts []kgo.Opt) error {
	t.Helper()
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
			d.SASL = &SASL{Mechanism: mechanism, Username: "app", Password: mark}
			if err := ping(t, d); err == nil || strings.Contains(err.Error(), mark) || !strings.Contains(err.Error(), "check kafka.sasl") {
				t.Errorf("wrong password: %v", err)
			}
		})
		t.Run(mechanism+"FromAFileThatChanges", func(t *testing.T) {
			c := localtest.Kafka(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "app", "right"))
			file := filepath.Join(t.TempDir(), "password")
			write(t, file, "old\n")
			d := Dial{Brokers: c.ListenAddrs(), SASL: &SASL{Mechanism: mechanism, Username: "app", PasswordFile: file}}
			opts, err := d.Options()
			if err != nil {
				t.Fatal(err)
			}
			if err := pingWith(t, opts); err == nil {
				t.Fatal("the old password was taken")
			}
			write(t, file, "right\r\n")
			if err := pingWith(t, opts); err != nil {
				t.Errorf("the new password: %v", err)
			}
		})
	}
}

// saslBroker is a Kafka that answers to SASL as Apache Kafka does, also to a mechanism that kfake has not, and to a
// wrong secret, where kfake hangs up: a refused token is answered with the reason, and the client's answer to that with
// an error code. allow says whether the client's first bytes are right.
func saslBroker(t *testing.T, mechanism string, allow func(first string) bool) []string {
	c := localtest.Kafka(t)
	c.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.SupportedMechanisms = []string{mechanism}
		if req.(*kmsg.SASLHandshakeRequest).Mechanism != mechanism {
			resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		}
		return resp, nil, true
	})
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		first := string(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes)
		if ok := allow(first); !ok && mechanism == "OAUTHBEARER" && first != "\x01" {
			resp.SASLAuthBytes = []byte(`{"status":"invalid_token"}`)
		} else if !ok {
			message := "Authentication failed: Invalid username or password"
			resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, &message
		}
		return resp, nil, true
	})
	return c.ListenAddrs()
}

func TestOAuthBearer(t *testing.T) {
	brokers := saslBroker(t, "OAUTHBEARER", func(first string) bool {
		return strings.Contains(first, "auth=Bearer right\x01") && strings.Contains(first, "logicalCluster=lkc-1\x01")
	})
	extensions := map[string]string{"logicalCluster": "lkc-1"}
	if err := ping(t, Dial{Brokers: brokers, SASL: &SASL{Mechanism: "OAUTHBEARER", Token: "right", Extensions: extensions}}); err != nil {
		t.Errorf("right token: %v", err)
	}
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, mark)
	d := Dial{Brokers: brokers, SASL: &SASL{Mechanism: "OAUTHBEARER", TokenFile: file, Extensions: extensions}}
	wantRefusal(t, ping(t, d), "token or token_file; the broker refuses the token")
	write(t, file, "right\n")
	if err := ping(t, d); err != nil {
		t.Errorf("token from a file: %v", err)
	}
}

// wantRefusal wants an error that says that only the configuration can mend it, and how.
func wantRefusal(t *testing.T, err error, hint string) {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) || !strings.Contains(err.Error(), hint) || strings.Contains(err.Error(), mark) {
		t.Errorf("got %v, want a refusal that says %q", err, hint)
	}
}

func TestRefusals(t *testing.T) {
	plain := saslBroker(t, "PLAIN", func(string) bool { return false })
	t.Run("WrongPassword", func(t *testing.T) {
		err := ping(t, Dial{Brokers: plain, SASL: &SASL{Mechanism: "PLAIN", Username: "app", Password: mark}})
		wantRefusal(t, err, "username, password or password_file, mechanism; the broker refuses user app")
		if !errors.Is(err, kerr.SaslAuthenticationFailed) {
			t.Errorf("%v has lost its cause", err)
		}
	})
	t.Run("MechanismNotOffered", func(t *testing.T) {
		wantRefusal(t, ping(t, Dial{Brokers: plain, SASL: &SASL{Mechanism: "SCRAM-SHA-512", Username: "app", Password: mark}}), "check kafka.sasl.mechanism")
	})
	t.Run("NobodyThere", func(t *testing.T) {
		err := ping(t, Dial{Brokers: []string{"127.0.0.1:1"}})
		var r *Refusal
		if err == nil || errors.As(err, &r) {
			t.Errorf("%v: this may pass by itself", err)
		}
	})
	t.Run("NameUnknown", func(t *testing.T) {
		err := Dial{}.Explain(fmt.Errorf("unable to dial: %w", &net.DNSError{Err: "no such host", Name: "kafka", IsNotFound: true}))
		if !strings.Contains(err.Error(), "check kafka.brokers") {
			t.Error(err)
		}
	})
	t.Run("SASLMissing", func(t *testing.T) {
		c := localtest.Kafka(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", "right"))
		if err := ping(t, Dial{Brokers: c.ListenAddrs()}); err == nil || !strings.Contains(err.Error(), "see kafka.sasl") {
			t.Error(err)
		}
	})
	t.Run("SASLMissingWithTLS", func(t *testing.T) {
		a := newAuthority(t)
		c := localtest.Kafka(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{a.issue("server")}}), kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", "right"))
		if err := ping(t, Dial{Brokers: c.ListenAddrs(), TLS: &TLS{CA: a.path("ca.pem")}}); err == nil || !strings.Contains(err.Error(), "see kafka.sasl") {
			t.Error(err)
		}
	})
	t.Run("TLSMissing", func(t *testing.T) {
		// Apache Kafka answers in TLS; the client knows the alert's first bytes.
		alert := answers(t, "\x15\x03\x03\x00\x02\x02\x50")
		wantRefusal(t, ping(t, Dial{Brokers: alert}), "`tls: yes` under kafka")
	})
	t.Run("Nothing", func(t *testing.T) {
		if err := (Dial{}).Explain(nil); err != nil {
			t.Error(err)
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFilesThatAreWrong(t *testing.T) {
	a := newAuthority(t)
	a.issue("client")
	a.issue("other")
	a.write("empty.pem", "NOTHING", nil)
	a.write("encrypted-key.pem", "ENCRYPTED PRIVATE KEY", []byte("x"))
	write(t, a.path("blank"), "\n")
	write(t, a.path("large"), strings.Repeat("x", mostFile+1))
	cert, key := a.path("client.pem"), a.path("client-key.pem")
	for want, d := range map[string]Dial{
		"kafka.tls.ca: open /nowhere/ca.pem: no such file or directory (a relative path begins": {TLS: &TLS{CA: "/nowhere/ca.pem"}},
		"empty.pem holds no certificate in PEM form":                                            {TLS: &TLS{CA: a.path("empty.pem")}},
		"kafka.tls.ca: read ":                               {TLS: &TLS{CA: a.dir}},
		"kafka.tls.cert: open /nowhere/c.pem":               {TLS: &TLS{Cert: "/nowhere/c.pem", Key: key}},
		"kafka.tls.key: open /nowhere/k.pem":                {TLS: &TLS{Cert: cert, Key: "/nowhere/k.pem"}},
		"are not a certificate in PEM form and its private": {TLS: &TLS{Cert: cert, Key: a.path("other-key.pem")}},
		"is encrypted, and sinker asks for no passphrase":   {TLS: &TLS{Cert: cert, Key: a.path("encrypted-key.pem")}},
		"kafka.sasl.password_file: open /nowhere/password":  {SASL: &SASL{Mechanism: "PLAIN", PasswordFile: "/nowhere/password"}},
		"kafka.sasl.token_file: " + a.path("blank"):         {SASL: &SASL{Mechanism: "OAUTHBEARER", TokenFile: a.path("blank")}},
		"large is larger than 1 MiB":                        {SASL: &SASL{Mechanism: "PLAIN", PasswordFile: a.path("large")}},
		"kafka.sasl.mechanism must be PLAIN":                {SASL: &SASL{Mechanism: "GSSAPI"}},
	} {
		if _, err := d.Options(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that says %q", err, want)
		}
	}
}

// mark is put into secrets and looked for in everything that is printed.
const mark = "c4n4ry"

func TestDialIsPrintedWithoutSecrets(t *testing.T) {
	d := Dial{SASL: &SASL{Mechanism: "PLAIN", Username: "app", Password: mark, Token: mark}}
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).Info("x", "dial", d, "sasl", d.SASL, "value", *d.SASL)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	printed := map[string]string{"log": log.String(), "JSON": string(text)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed[verb] = fmt.Sprintf(verb, d) + fmt.Sprintf(verb, &d) + fmt.Sprintf(verb, d.SASL) + fmt.Sprintf(verb, *d.SASL)
	}
	for how, s := range printed {
		if strings.Contains(s, mark) || strings.Contains(s, fmt.Sprintf("%x", mark)) {
			t.Errorf("%s shows a secret: %s", how, s)
		}
	}
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
	for name, bad := range map[string]struct {
		tls  *TLS
		hint string
	}{
		"NoClientCertificate": {&TLS{CA: good.CA}, "kafka.tls.cert and key must be a valid client certificate"},
		"UnknownAuthority":    {&TLS{Cert: good.Cert, Key: good.Key}, "kafka.tls.ca must hold"},
		"WrongName":           {&TLS{CA: good.CA, Cert: good.Cert, Key: good.Key, ServerName: "other"}, "kafka.tls.server_name"},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, ping(t, Dial{Brokers: c.ListenAddrs(), TLS: bad.tls}), bad.hint) })
	}
	t.Run("Unverified", func(t *testing.T) {
		if err := ping(t, Dial{Brokers: c.ListenAddrs(), TLS: &TLS{Cert: good.Cert, Key: good.Key, Insecure: true}}); err != nil {
			t.Error(err)
		}
	})
	t.Run("Plaintext", func(t *testing.T) {
		if err := ping(t, Dial{Brokers: c.ListenAddrs()}); err == nil || !strings.Contains(err.Error(), "`tls: yes` under kafka") {
			t.Error(err)
		}
	})
	t.Run("TLSToPlaintext", func(t *testing.T) {
		err := ping(t, Dial{Brokers: answers(t, ""), TLS: &good})
		if err == nil || !strings.Contains(err.Error(), "speaks no TLS on this port") {
			t.Error(err)
		}
	})
}

// answers is a server that answers so to a first message and hangs up: with nothing, as Apache Kafka does to TLS on a
// plaintext port.
func answers(t *testing.T, answer string) []string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4096))
			c.Write([]byte(answer))
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return []string{l.Addr().String()}
}
