package txn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Unencrypted says which host a connection string may reach without encryption, and what that means; nothing when each of
// its hosts is this machine or is reached by TLS only. It does not dial.
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
			how = "is not encrypted when the server, or somebody on the way, does not want it: sslmode is allow or prefer, which it is by default"
		}
		return fmt.Sprintf("the connection to Postgres at %s %s. Rows, and with some servers the password, can be read and changed on the way. "+
			"Set sslmode=verify-full in the connection URL (with sslrootcert=FILE for an authority of your own), or sslmode=require if nobody can stand between", h.Host, how)
	}
	return ""
}

// isLocal says whether what goes to the host stays on this machine.
func isLocal(host string, port uint16) bool {
	if network, _ := pgconn.NetworkAddress(host, port); network == "unix" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// transportHint is what to do about an error of TLS that trying again does not pass; nothing for other errors.
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
		return "the server's certificate is for another name: reach the server by the name it is for, or let sslmode=verify-ca do without the name"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid now, or not for this use: renew it; look at the clocks too"
	case errors.As(err, &plaintext), strings.Contains(err.Error(), refusedTLS):
		return "the server speaks no TLS on this port: set `ssl = on` there, use the port that does, or say sslmode=disable in postgres.url if nobody else can listen"
	}
	return "the server refused our side of TLS: sslcert and sslkey in postgres.url must be a valid client certificate that its authority signed"
}

// refusedTLS is the client library's word for a server without TLS.
const refusedTLS = "server refused TLS connection"

// isTransport says whether one dial failed by TLS, for a reason that lasts.
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

// everyDial says whether all of the dials that an error of connecting is made of failed as asked: with several hosts, one
// that is away for a moment is a reason to try again.
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
		return "the server wants a client certificate: sslcert=FILE and sslkey=FILE in postgres.url, and its authority must be in the server's ssl_ca_file"
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

// classifyConnect is classify for a session that could not be begun.
func classifyConnect(err error) Class {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) && transportHint(err) != "" {
		return Auth
	}
	return classify(err)
}
