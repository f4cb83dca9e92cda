package consume

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Dial is how to reach Kafka. Files are read anew at every dial or authentication, so certificates and secrets can be
// rotated under a running sinker.
type Dial struct {
	Brokers []string
	TLS     *TLS
	SASL    *SASL
	Version string // of sinker, told to the brokers
}

// TLS encrypts the connection; empty fields mean the system's certificates, and no client certificate.
type TLS struct {
	CA, Cert, Key, ServerName string
	Insecure                  bool
}

// SASL proves who we are.
type SASL struct {
	Mechanism, Username, Password, PasswordFile, Token, TokenFile string
	Extensions                                                    map[string]string
}

// Options makes the client options. It reads the files once, so that a wrong one is known now.
func (d Dial) Options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(d.Brokers...), kgo.ClientID("sinker"), kgo.SoftwareNameAndVersion("sinker", safeVersion(d.Version)), kgo.DialTimeout(5 * time.Second)}
	if d.TLS != nil {
		if _, err := d.TLS.config(); err != nil {
			return nil, err
		}
		opts = append(opts, kgo.Dialer(d.TLS.dial))
	}
	if d.SASL != nil {
		m, err := d.SASL.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

// safeVersion keeps what brokers accept in a client's version.
func safeVersion(v string) string {
	v = strings.Trim(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, v), "-.")
	if v == "" {
		return "dev"
	}
	return v
}

func (t *TLS) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(addr)
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: cfg}
	return d.DialContext(ctx, network, addr)
}

func (t *TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka.tls.ca: %s holds no certificate in PEM form", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.cert and key: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// secretOf reads the file, if there is one, without the newline that editors leave.
func secretOf(value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("kafka.sasl: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	if _, err := secretOf(s.Password, s.PasswordFile); err != nil {
		return nil, err
	}
	if _, err := secretOf(s.Token, s.TokenFile); err != nil {
		return nil, err
	}
	scramAuth := func(context.Context) (scram.Auth, error) {
		pass, err := secretOf(s.Password, s.PasswordFile)
		return scram.Auth{User: s.Username, Pass: pass}, err
	}
	switch s.Mechanism {
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			pass, err := secretOf(s.Password, s.PasswordFile)
			return plain.Auth{User: s.Username, Pass: pass}, err
		}), nil
	case "SCRAM-SHA-256":
		return scram.Sha256(scramAuth), nil
	case "SCRAM-SHA-512":
		return scram.Sha512(scramAuth), nil
	case "OAUTHBEARER":
		return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := secretOf(s.Token, s.TokenFile)
			return oauth.Auth{Token: token, Extensions: s.Extensions}, err
		}), nil
	}
	return nil, errors.New("kafka.sasl.mechanism must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
}
