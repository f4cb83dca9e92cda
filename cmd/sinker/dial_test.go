package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sinker/internal/local/localtest"

	"github.com/twmb/franz-go/pkg/kfake"
)

// TestNoSecretIsPrinted runs the commands with a mark for every password, with logs at their loudest, through what
// works and what does not, and looks for the mark in all they print.
func TestNoSecretIsPrinted(t *testing.T) {
	const mark = "c4n4ry"
	s := newStage(t, ordersSink)
	kafka := localtest.Kafka(t, kfake.SeedTopics(1, "orders"), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "app", mark))
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(mark+"-of-another"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(s.url, "postgres@", "postgres:"+mark+"@", 1)
	if url == s.url {
		t.Fatalf("%s has no user to give a password to", s.url)
	}
	base, _, _ := strings.Cut(url, "?")
	configure := func(sasl, url string) {
		text := fmt.Sprintf("kafka: { brokers: '%s', instance: off, sasl: { username: app, %s } }\npostgres: { url: '%s', migrate_url: '%s' }\nhttp: off\n%s",
			kafka.ListenAddrs()[0], sasl, url, url, ordersSink)
		if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	right := "mechanism: SCRAM-SHA-512, password: " + mark
	for _, c := range []struct {
		name, sasl, url string
		code            int
		text            string
	}{
		{"OK", right, url, exitOK, "0 records"},
		{"WrongPassword", "mechanism: SCRAM-SHA-512, password_file: '" + file + "'", url, exitUnavailable, "check kafka.sasl"},
		{"MechanismNotOffered", "mechanism: OAUTHBEARER, token: " + mark, url, exitConfig, "kafka.sasl.username has no effect"},
		{"NoSuchDatabase", right, base[:strings.LastIndex(base, "/")] + "/nothing_here", exitConfig, "create the database"},
		{"NoTLSInPostgres", right, base + "?sslmode=require", exitConfig, "speaks no TLS on this port"},
		{"MisspelledKey", "mechanism: SCRAM-SHA-512, pasword: " + mark, url, exitConfig, "did you mean"},
	} {
		t.Run(c.name, func(t *testing.T) {
			configure(c.sasl, c.url)
			results := []result{s.load("--log-level", "debug"), s.sinker("check", "-c", s.file), s.sinker("check", "-c", s.file, "--json"), s.sinker("check", "-c", s.file, "--print"), s.sinker("status", "-c", s.file), s.sinker("migrate", "version", "-c", s.file)}
			results[0].want(t, c.code, c.text)
			for _, r := range results {
				if strings.Contains(r.out+r.errors, mark) {
					t.Errorf("a secret is printed:\n%s\n%s", r.out, r.errors)
				}
			}
		})
	}
}
