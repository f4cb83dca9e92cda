package txn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sinker/internal/local"
	"sinker/internal/local/await"

	"github.com/jackc/pgx/v5"
)

func TestUnencrypted(t *testing.T) {
	const may, is = "does not want it", "is not encrypted. "
	for url, want := range map[string]string{
		"postgres://u:p@db.example/x":                              may,
		"postgres://u:p@db.example/x?sslmode=prefer":               may,
		"postgres://u:p@db.example/x?sslmode=allow":                may,
		"postgres://u:p@db.example/x?sslmode=disable":              is,
		"postgres://u:p@10.0.0.7/x?sslmode=disable":                is,
		"postgres://u:p@[2001:db8::1]/x?sslmode=disable":           is,
		"postgres://u:p@127.0.0.1,db.example/x?sslmode=disable":    is,
		"host=db.example user=u":                                   may,
		"host=db.example user=u sslmode=disable":                   is,
		"postgres://u:p@db.example/x?sslmode=require":              "",
		"postgres://u:p@db.example/x?sslmode=verify-ca":            "",
		"postgres://u:p@db.example/x?sslmode=verify-full":          "",
		"postgres://u:p@localhost/x":                               "",
		"postgres://u:p@localhost/x?sslmode=disable":               "",
		"postgres://u:p@127.1.2.3/x?sslmode=disable":               "",
		"postgres://u:p@[::1]/x?sslmode=disable":                   "",
		"postgres://u:p@[::ffff:127.0.0.1]/x?sslmode=disable":      "",
		"postgres:///x?host=/var/run/postgresql":                   "",
		"host=/var/run/postgresql,localhost":                       "",
		"postgres://u:p@localhost,127.0.0.1/x?sslmode=disable":     "",
		"postgres://u:p@a.example,b.example/x?sslmode=verify-full": "",
		"postgres://u:p@localhost,b.example/x?sslmode=require":     "",
	} {
		if got := Unencrypted(url); want == "" != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, file: filepath.Join(dir, name+".pem")}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// sign writes dir/name.pem and dir/name.key: a certificate for the common name and, if it is an address, the address.
func (a *authority) sign(t *testing.T, dir, name, common string, until time.Time) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: common}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until,
		DNSNames: []string{common}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature}
	if ip := net.ParseIP(common); ip != nil {
		c.IPAddresses, c.DNSNames = []net.IP{ip}, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", pkcs8)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tlsServer is a Postgres whose TLS a test sets up.
type tlsServer struct {
	t    *testing.T
	pg   *local.Postgres
	data string
	conn *pgx.Conn
}

func newTLSServer(t *testing.T) *tlsServer {
	t.Helper()
	pg, err := local.StartPostgres(t.Context(), local.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Close() })
	conn, err := pgx.Connect(t.Context(), pg.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return &tlsServer{t, pg, filepath.Join(pg.Dir(), "data"), conn}
}

func (s *tlsServer) exec(sql string) {
	s.t.Helper()
	if _, err := s.conn.Exec(s.t.Context(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// give puts a file into the data folder, for the server to read.
func (s *tlsServer) give(name string, text []byte) {
	s.t.Helper()
	path := filepath.Join(s.data, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	info, err := os.Stat(s.data)
	if err != nil {
		s.t.Fatal(err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Getuid() {
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// files gives the server its certificate, which it returns, and its key.
func (s *tlsServer) files(certFile, keyFile string) (cert []byte) {
	s.t.Helper()
	for name, from := range map[string]string{"server.key": keyFile, "server.crt": certFile} {
		text, err := os.ReadFile(from)
		if err != nil {
			s.t.Fatal(err)
		}
		s.give(name, text)
		if name == "server.crt" {
			cert = text
		}
	}
	return cert
}

// reload makes the server read its files, and waits until it serves the certificate.
func (s *tlsServer) reload(certFile, keyFile string) {
	s.t.Helper()
	text := s.files(certFile, keyFile)
	block, _ := pem.Decode(text)
	s.exec(`SELECT pg_reload_conf()`)
	await.Until(s.t, "the server's certificate", func() bool {
		cfg, err := pgx.ParseConfig(strings.Replace(s.pg.URL("postgres"), "disable", "require", 1))
		if err != nil {
			s.t.Fatal(err)
		}
		served := false
		cfg.TLSConfig.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
			served = string(raw[0]) == string(block.Bytes)
			return nil
		}
		conn, err := pgx.ConnectConfig(s.t.Context(), cfg)
		if err != nil {
			return false
		}
		conn.Close(s.t.Context())
		return served
	})
}

// TestTransportErrors: what a server says, or a client finds, of encryption and certificates has a hint that names the
// setting, and is a matter of the configuration and not of trying again.
func TestTransportErrors(t *testing.T) {
	dir := t.TempDir()
	ours, others := newAuthority(t, dir, "ours"), newAuthority(t, dir, "others")
	tomorrow := time.Now().Add(24 * time.Hour)
	good, goodKey := ours.sign(t, dir, "good", "127.0.0.1", tomorrow)
	named, namedKey := ours.sign(t, dir, "named", "db.example", tomorrow)
	old, oldKey := ours.sign(t, dir, "old", "127.0.0.1", time.Now().Add(-time.Hour))
	client, clientKey := ours.sign(t, dir, "client", "cert", tomorrow)
	strange, strangeKey := others.sign(t, dir, "strange", "cert", tomorrow)
	past, pastKey := ours.sign(t, dir, "past", "cert", time.Now().Add(-time.Hour))
	s := newTLSServer(t)
	s.exec(`CREATE ROLE app LOGIN; CREATE ROLE plain LOGIN; CREATE ROLE cert LOGIN; CREATE ROLE pw LOGIN PASSWORD 'right'; CREATE ROLE nobody LOGIN`)
	url := func(user, parameters string) string {
		return strings.Replace(strings.Replace(s.pg.URL("postgres"), "postgres@", user+"@", 1), "sslmode=disable", parameters, 1)
	}
	try := func(name, url string, class Class, hint string) {
		t.Run(name, func(t *testing.T) {
			conn, err := Connect(t.Context(), url, "sinker test")
			if conn != nil {
				conn.Close(t.Context())
			}
			var e *Error
			if hint == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.As(err, &e) || e.Class != class || !strings.Contains(e.Hint, hint) {
				t.Errorf("%v, want class %v and a hint with %q", err, class, hint)
			}
		})
	}
	try("NoTLS/require", url("app", "sslmode=require"), Auth, "the server speaks no TLS")
	try("NoTLS/verify-full", url("app", "sslmode=verify-full&sslrootcert="+ours.file), Auth, "the server speaks no TLS")
	try("NoTLS/prefer", url("app", "sslmode=prefer"), Auth, "")

	s.give("pg_hba.conf", []byte(`host all postgres 127.0.0.1/32 trust
hostssl all app 127.0.0.1/32 trust
hostnossl all plain 127.0.0.1/32 trust
hostssl all cert 127.0.0.1/32 cert
host all pw 127.0.0.1/32 scram-sha-256
`))
	ca, err := os.ReadFile(ours.file)
	if err != nil {
		t.Fatal(err)
	}
	s.give("ca.pem", ca)
	s.files(good, goodKey)
	s.exec(`ALTER SYSTEM SET ssl = on`)
	s.exec(`ALTER SYSTEM SET ssl_ca_file = 'ca.pem'`)
	s.reload(good, goodKey)
	full := "sslmode=verify-full&sslrootcert="
	try("Right", url("app", full+ours.file), Auth, "")
	try("HostSSL/disable", url("app", "sslmode=disable"), Auth, "only encrypted connections: set sslmode=verify-full")
	try("HostSSL/prefer", url("app", "sslmode=prefer"), Auth, "")
	try("HostSSL/allow", url("app", "sslmode=allow"), Auth, "")
	try("HostNoSSL/require", url("plain", "sslmode=require"), Auth, "pg_hba.conf")
	try("NotInHBA", url("nobody", "sslmode=require"), Auth, "pg_hba.conf")
	try("NotInHBA/plain", url("nobody", "sslmode=disable"), Auth, "sslmode=verify-full")
	try("WrongPassword", url("pw:wrong", full+ours.file), Auth, "check the user and password")
	try("OtherAuthority", url("app", full+others.file), Auth, "sslrootcert=FILE")
	try("OtherAuthority/verify-ca", url("app", "sslmode=verify-ca&sslrootcert="+others.file), Auth, "sslrootcert=FILE")
	try("SystemAuthorities", url("app", "sslmode=verify-full"), Auth, "sslrootcert=FILE")
	try("NoSuchFile", url("app", full+dir+"/nothing.pem"), Auth, "postgres.url")
	try("ClientCertificate", url("cert", full+ours.file+"&sslcert="+client+"&sslkey="+clientKey), Auth, "")
	try("NoClientCertificate", url("cert", full+ours.file), Auth, "sslcert=FILE")
	try("StrangeClientCertificate", url("cert", full+ours.file+"&sslcert="+strange+"&sslkey="+strangeKey), Auth, "its authority must be in the server's ssl_ca_file")
	try("ExpiredClientCertificate", url("cert", full+ours.file+"&sslcert="+past+"&sslkey="+pastKey), Auth, "sslcert and sslkey")

	s.reload(named, namedKey)
	try("OtherName", url("app", full+ours.file), Auth, "the server's certificate is for another name")
	try("OtherName/verify-ca", url("app", "sslmode=verify-ca&sslrootcert="+ours.file), Auth, "")
	s.reload(old, oldKey)
	try("Expired", url("app", full+ours.file), Auth, "not valid now")
	try("Expired/verify-ca", url("app", "sslmode=verify-ca&sslrootcert="+ours.file), Auth, "not valid now")

	two := strings.Replace(url("app", full+ours.file), "@127.0.0.1:", "@127.0.0.1:1,127.0.0.1:", 1)
	t.Run("OneHostIsAway", func(t *testing.T) { // it may be the right one, and come back
		var e *Error
		if _, err := Connect(t.Context(), two, "sinker test"); !errors.As(err, &e) || e.Class != Retry {
			t.Errorf("%v, want class retry", err)
		}
	})
}
