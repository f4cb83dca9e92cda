package consume

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
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

// Dial is how to reach Kafka. Files are read at every dial or authentication, so certificates and
// secrets can be rotated under a running sinker.
type Dial struct {
	Brokers []string
	TLS     *TLS
	SASL    *SASL
	Version string // of sinker, told to the brokers
}

// TLS encrypts the connection; empty fields mean the system's certificates, and no client
// certificate.
type TLS struct {
	CA, Cert, Key, ServerName string
	Insecure                  bool
}

// SASL is how sinker authenticates.
type SASL struct {
	Mechanism, Username, Password, PasswordFile, Token, TokenFile string
	Extensions                                                    map[string]string
}

// Format, MarshalJSON and LogValue print the mechanism and the user, never a secret.
func (s SASL) Format(f fmt.State, _ rune)   { fmt.Fprintf(f, "{%s %s}", s.Mechanism, s.Username) }
func (s SASL) MarshalJSON() ([]byte, error) { return json.Marshal(fmt.Sprint(s)) }
func (s SASL) LogValue() slog.Value         { return slog.StringValue(fmt.Sprint(s)) }

// Options makes the client options. It reads the files once, so that a wrong file is an error now.
// The error names the key, the file and what to do. Options does not dial.
func (d Dial) Options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(d.Brokers...), kgo.ClientID("sinker"),
		kgo.SoftwareNameAndVersion("sinker", safeVersion(d.Version)), kgo.DialTimeout(dialTimeout)}
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

// dialTimeout bounds the connection, and again the TLS handshake.
const dialTimeout = 5 * time.Second

const handshake = "TLS handshake with"

func (t *TLS) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(addr)
	}
	raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("%s %s: %w", handshake, addr, err)
	}
	return conn, nil
}

func (t *TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure}
	if t.CA != "" {
		pem, err := readFile("kafka.tls.ca", t.CA)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka.tls.ca: %s holds no certificate in PEM form; it should begin with -----BEGIN "+
				"CERTIFICATE-----", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := t.pair()
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// pair reads the client's certificate and its private key.
func (t *TLS) pair() (tls.Certificate, error) {
	cert, err := readFile("kafka.tls.cert", t.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readFile("kafka.tls.key", t.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	if bytes.Contains(key, []byte("ENCRYPTED")) {
		return tls.Certificate{}, fmt.Errorf("kafka.tls.key: %s is encrypted, and sinker asks for no passphrase: "+
			"`openssl pkey -in %s -out plain.pem`, and keep that file readable by sinker alone", t.Key, t.Key)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("kafka.tls: %s and %s are not a certificate in PEM form and its private "+
			"key: %w", t.Cert, t.Key, err)
	}
	return pair, nil
}

// mostFile is more than any certificate, password or token has.
const mostFile = 1 << 20

// readFile reads a small file; what is the key that names it.
func readFile(what, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w%s", what, err, fileHint(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if len(b) > mostFile {
		return nil, fmt.Errorf("%s: %s is larger than 1 MiB: is it the right file?", what, path)
	}
	return b, nil
}

func fileHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return " (a relative path begins at the directory that sinker was started in)"
	case errors.Is(err, fs.ErrPermission):
		return " (the user that sinker runs as must be able to read it)"
	}
	return ""
}

// secretOf reads the file, if there is one, without the newline that editors leave.
func secretOf(what, value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	b, err := readFile(what, file)
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("%s: %s is empty", what, file)
	}
	return s, nil
}

func (s *SASL) password() (string, error) {
	return secretOf("kafka.sasl.password_file", s.Password, s.PasswordFile)
}

func (s *SASL) token() (string, error) {
	return secretOf("kafka.sasl.token_file", s.Token, s.TokenFile)
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	if _, err := s.password(); err != nil {
		return nil, err
	}
	if _, err := s.token(); err != nil {
		return nil, err
	}
	scramAuth := func(context.Context) (scram.Auth, error) {
		pass, err := s.password()
		return scram.Auth{User: s.Username, Pass: pass}, err
	}
	switch s.Mechanism {
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			pass, err := s.password()
			return plain.Auth{User: s.Username, Pass: pass}, err
		}), nil
	case "SCRAM-SHA-256":
		return scram.Sha256(scramAuth), nil
	case "SCRAM-SHA-512":
		return scram.Sha512(scramAuth), nil
	case "OAUTHBEARER":
		return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := s.token()
			return oauth.Auth{Token: token, Extensions: s.Extensions}, err
		}), nil
	}
	return nil, errors.New("kafka.sasl.mechanism must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
}
