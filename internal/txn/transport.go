package txn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"sinker/internal/probe"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Unencrypted names the host that a connection string may reach without encryption, and says what
// that means. It is empty when every host is this machine or is reached by TLS only. It does not
// dial.
func Unencrypted(url string) string {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return "" // whoever dials says so
	}
	hosts := append([]*pgconn.FallbackConfig{{Host: cfg.Host, Port: cfg.Port, TLSConfig: cfg.TLSConfig}}, cfg.Fallbacks...)
	encrypted := map[string]bool{}
	for _, h := range hosts {
		encrypted[h.Host] = encrypted[h.Host] || h.TLSConfig != nil
	}
	for _, h := range hosts {
		if h.TLSConfig != nil || isLocal(h.Host, h.Port) {
			continue
		}
		how := "is not encrypted"
		if encrypted[h.Host] {
			how = "is not encrypted when the server, or somebody on the way, does not want it: sslmode is allow or prefer " +
				"(the default)"
		}
		return fmt.Sprintf("the connection to Postgres at %s %s. Rows, and with some servers the password, can be read "+
			"and changed on the way. "+
			"Set sslmode=verify-full in the connection URL (with sslrootcert=FILE for an authority of your own), "+
			"or sslmode=require if nobody can intercept the connection", h.Host, how)
	}
	return ""
}

// isLocal says whether a connection to the host stays on this machine.
func isLocal(host string, port uint16) bool {
	if network, _ := pgconn.NetworkAddress(host, port); network == "unix" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// mostDials is how often a session is begun that is reset before the server has said anything.
const mostDials = 3

// dial begins a session. With TLS 1.3 a server looks at our certificate when we take the handshake
// for done and have sent on. The alert in which it says what is wrong is then lost to the reset of
// the connection, now and then. So a session that was reset without a reason is begun again, a few
// times.
func dial(ctx context.Context, cfg *pgx.ConnConfig) (conn *pgx.Conn, err error) {
	for range mostDials {
		if conn, err = pgx.ConnectConfig(ctx, cfg); !everyDial(err, isReset) || ctx.Err() != nil {
			break
		}
	}
	return conn, err
}

// isReset says whether one dial ended without a reason: somebody had taken the connection, and
// dropped it.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// saysNothing says whether one dial ended without an answer in Postgres' protocol.
func saysNothing(err error) bool {
	var tooLong *pgproto3.ExceededMaxBodyLenErr
	switch {
	case isReset(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &tooLong):
		return true
	case strings.Contains(err.Error(), refusedTLS), strings.Contains(err.Error(), "unknown message type"):
		return true
	}
	return pgconn.Timeout(err)
}

// wrongPort completes an error of a connection that no host of the URL has answered in Postgres'
// protocol. Where something else answers, waiting does not help.
func wrongPort(ctx context.Context, url string, err error) error {
	var e *Error
	var pe *pgconn.PgError
	cfg, parseErr := pgx.ParseConfig(url)
	if parseErr != nil || ctx.Err() != nil || !errors.As(err, &e) || errors.As(err, &pe) ||
		!everyDial(e.Err, saysNothing) {
		return err
	}
	addr := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
	if isLocalSocket(&cfg.Config) {
		return err
	}
	switch who := probe.Who(ctx, addr); who {
	case probe.Unknown, probe.Postgres:
		return err
	case probe.Kafka:
		e.Hint = addr + " is a Kafka broker: it belongs to --brokers, and the URL needs the address of Postgres"
	default:
		e.Hint = fmt.Sprintf("%s speaks %s and not Postgres' protocol: give the address of Postgres in the URL; its "+
			"port is mostly 5432", addr, who)
	}
	e.Class, e.Code = Auth, "wrong_port"
	return err
}

// transportHint is what to do about an error of TLS that another attempt does not change. It is
// empty for other errors.
func transportHint(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		plaintext tls.RecordHeaderError
	)
	switch {
	case !everyDial(err, isTransport):
		return ""
	case errors.As(err, &authority):
		return "sslrootcert=FILE in postgres.url must name the certificate of the authority that signed the server's"
	case errors.As(err, &name):
		return "the server's certificate is for another name: connect by that name, or set sslmode=verify-ca to ignore " +
			"the name"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid now, or not for this use: renew it, and check the clocks"
	case errors.As(err, &plaintext), strings.Contains(err.Error(), refusedTLS):
		return "the server speaks no TLS on this port: set `ssl = on` there, use the port that does, " +
			"or set sslmode=disable in postgres.url if nobody can intercept the connection"
	}
	return "the server refused the client certificate: sslcert and sslkey in postgres.url must be a valid one that " +
		"its authority signed"
}

// refusedTLS is pgx's text for a server without TLS.
const refusedTLS = "server refused TLS connection"

// isTransport says whether one dial failed by TLS, for a reason that stays.
func isTransport(err error) bool {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		plaintext tls.RecordHeaderError
	)
	return errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &invalid) || errors.As(err, &plaintext) ||
		strings.Contains(err.Error(), refusedTLS) || strings.Contains(err.Error(), "remote error: tls:")
}

// everyDial says whether as holds for every dial in an error of connecting. With several hosts, one
// that is only away is a reason to try again.
func everyDial(err error, as func(error) bool) bool {
	for e := err; e != nil; e = errors.Unwrap(e) {
		list, ok := e.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		for _, one := range list.Unwrap() {
			if !everyDial(one, as) {
				return false
			}
		}
		return len(list.Unwrap()) > 0
	}
	return err != nil && as(err)
}

// pgHBAHint is what to do about a connection that pg_hba.conf does not allow.
func pgHBAHint(err error, pe *pgconn.PgError) string {
	const user = "check the user and password in postgres.url, and the server's pg_hba.conf"
	var ce *pgconn.ConnectError
	plain := errors.As(err, &ce) && ce.Config != nil && ce.Config.TLSConfig == nil && !isLocalSocket(ce.Config)
	switch {
	case strings.Contains(pe.Message, "valid client certificate"):
		return "the server wants a client certificate: set sslcert=FILE and sslkey=FILE in postgres.url; " +
			"its authority must be in the server's ssl_ca_file"
	case plain && strings.Contains(pe.Message, "no encryption"):
		return "the server takes only encrypted connections: set sslmode=verify-full, or require, in postgres.url"
	case plain:
		return user + "; if that takes only encrypted connections, set sslmode=verify-full, or require"
	}
	return user
}

func isLocalSocket(cfg *pgconn.Config) bool {
	network, _ := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	return network == "unix"
}

// classifyConnect is classify for a session that could not be opened.
func classifyConnect(err error) Class {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) && transportHint(err) != "" {
		return Auth
	}
	return classify(err)
}
