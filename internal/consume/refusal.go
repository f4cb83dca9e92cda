package consume

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"sinker/internal/probe"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Refusal is a connection that Kafka or sinker refused, for a reason that only a change of the
// configuration or an administrator can remove. Nothing was read or written.
type Refusal struct {
	Err  error
	Hint string // what to do
}

func (r *Refusal) Error() string { return r.Err.Error() + " (" + r.Hint + ")" }
func (r *Refusal) Unwrap() error { return r.Err }

// Explain adds a hint to an error of reaching Kafka. It returns a *Refusal if another attempt is
// certain to fail, and the error itself if it has no hint.
func (d Dial) Explain(err error) error {
	if err == nil {
		return nil
	}
	if hint := d.wrongPort(err); hint != "" {
		return &Refusal{err, hint}
	}
	if hint := d.refusal(err); hint != "" {
		return &Refusal{err, hint}
	}
	if hint := d.guess(err); hint != "" {
		return fmt.Errorf("%w (%s)", err, hint)
	}
	return err
}

// wrongPort is the hint for brokers that do not answer in Kafka's protocol, where it is certain
// what they speak instead; empty otherwise.
func (d Dial) wrongPort(err error) string {
	var eof *kgo.ErrFirstReadEOF
	var plaintext tls.RecordHeaderError
	silent := errors.As(err, &eof) || errors.As(err, &plaintext) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, context.DeadlineExceeded)
	if msg := err.Error(); !silent && !strings.Contains(msg, "invalid large response size") &&
		!strings.Contains(msg, handshake) {
		return ""
	}
	hint := ""
	for _, b := range d.Brokers {
		switch who := probe.Who(context.Background(), b); who {
		case probe.Postgres:
			hint = b + " is a Postgres server: it belongs into the connection URL (--to, postgres.url), and --brokers " +
				"needs the address of Kafka"
		case probe.HTTP:
			hint = b + " speaks HTTP and not Kafka's protocol: give the address of a broker; its port is mostly 9092"
		default:
			return ""
		}
	}
	return hint
}

// refusal is the hint for an error whose cause is certain.
func (d Dial) refusal(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		plaintext tls.RecordHeaderError
	)
	switch msg := err.Error(); {
	case errors.Is(err, kerr.SaslAuthenticationFailed),
		strings.Contains(msg, "OAUTHBEARER authentication failed"): // a broker that gives the reason and no error code
		return "check kafka.sasl: " + d.credentials()
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "check kafka.sasl.mechanism: the broker does not offer this one on this port"
	case errors.Is(err, kerr.IllegalSaslState):
		return "the broker wants no SASL on this port: leave kafka.sasl out, or use the port that does"
	case errors.As(err, &authority):
		return "kafka.tls.ca must hold the certificate of the authority that signed the broker's"
	case errors.As(err, &name):
		return "the broker's certificate is for another name: set kafka.tls.server_name to that name, or connect to the " +
			"broker by it"
	case errors.As(err, &invalid):
		return "the broker's certificate is not valid now, or not for this use: renew it, and check the clocks"
	case errors.As(err, &plaintext):
		return "the broker speaks no TLS on this port: leave kafka.tls out, or use the port that does"
	case strings.Contains(msg, "plaintext connection speaking to a tls endpoint"):
		return "the broker wants TLS on this port: `tls: yes` under kafka"
	case strings.Contains(msg, "remote error: tls:"):
		return "the broker refused the client certificate: kafka.tls.cert and key must be a valid client certificate " +
			"that its authority signed"
	}
	return ""
}

func (d Dial) credentials() string {
	switch {
	case d.SASL == nil:
		return "the broker wants it"
	case d.SASL.Mechanism == "OAUTHBEARER":
		return "token or token_file; the broker refuses the token"
	}
	return "username, password or password_file, mechanism; the broker refuses user " + d.SASL.Username
}

// guess is the hint for an error whose cause is likely.
func (d Dial) guess(err error) string {
	var eof *kgo.ErrFirstReadEOF
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "check kafka.brokers, and the names that the brokers advertise: they must resolve from here"
	case errors.As(err, &eof) && strings.Contains(eof.Error(), "is SASL missing") && d.SASL == nil:
		return "if it is: see kafka.sasl"
	case errors.As(err, &eof) && d.TLS == nil && strings.Contains(eof.Error(), "is TLS missing"):
		return "if it is: `tls: yes` under kafka"
	case strings.Contains(err.Error(), handshake), errors.As(err, &eof) && d.TLS != nil:
		return "a broker that speaks no TLS on this port answers like this: see kafka.tls"
	case strings.Contains(err.Error(), "invalid large response size"):
		return "what answers there does not speak Kafka's protocol on this port: check kafka.brokers, and kafka.tls"
	case d.SASL != nil && errors.Is(err, io.EOF):
		return "some brokers close the connection when they refuse a user: check kafka.sasl"
	}
	return ""
}
