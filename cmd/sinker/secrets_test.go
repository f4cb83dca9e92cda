package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shows returns a piece of three characters or more of the secret that the text holds, or nothing.
func shows(text, secret string) string {
	for i := 0; i+3 <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+3]) {
			return secret[i : i+3]
		}
	}
	return ""
}

// connections are the ways to write down a password: as it should be, and as people do.
func connections(password, at string) map[string]string {
	host, port, _ := strings.Cut(at, ":")
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password)
	return map[string]string{
		"URL":               "postgres://u:" + url.QueryEscape(password) + "@" + at + "/db?connect_timeout=2",
		"URLAsItIs":         "postgres://u:" + password + "@" + at + "/db?connect_timeout=2",
		"URLAsAParameter":   "postgres://u@" + at + "/db?password=" + password,
		"URLOfAnother":      "postgresql+psycopg://u:" + password + "@" + at + "/db",
		"Keywords":          fmt.Sprintf("host=%s port=%s user=u password='%s' dbname=db", host, port, quoted),
		"KeywordsAsTheyAre": fmt.Sprintf("host=%s port=%s user=u password=%s dbname=db", host, port, password),
	}
}

// TestNoPieceOfAPassword puts a password with each printable character of ASCII into each place that holds one, well
// written and badly, and looks for any three characters of it in what each command says. Nobody listens at the address:
// every command fails, at the latest when it connects.
func TestNoPieceOfAPassword(t *testing.T) {
	at, kafka := deadPort(t), newStage(t, "")
	file := filepath.Join(t.TempDir(), "s.yaml")
	write := func(t *testing.T, postgres string) {
		text := "kafka: { brokers: '" + kafka.brokers + "' }\npostgres:\n" + postgres + "sinks: [{ topic: orders, table: orders, create: yes }]\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	yaml := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	dollars := func(s string) string { return strings.ReplaceAll(s, "$", "$$") }
	places := map[string]func(t *testing.T, s string) (args []string){
		"url": func(t *testing.T, s string) []string { write(t, "  url: "+yaml(s)+"\n"); return []string{"-c", file} },
		"escaped": func(t *testing.T, s string) []string {
			write(t, "  url: "+yaml(dollars(s))+"\n")
			return []string{"-c", file}
		},
		"migrate_url": func(t *testing.T, s string) []string {
			write(t, "  url: postgres://u@"+at+"/db\n  migrate_url: "+yaml(s)+"\n")
			return []string{"-c", file}
		},
		"variable": func(t *testing.T, s string) []string {
			t.Setenv("A_DATABASE", s)
			write(t, "  url: ${A_DATABASE}\n")
			return []string{"-c", file}
		},
		"flag": func(_ *testing.T, s string) []string { return []string{"--to", s} },
		"flagOfVariable": func(t *testing.T, s string) []string {
			t.Setenv("A_DATABASE", s)
			return []string{"--to", "${A_DATABASE}"}
		},
		"environment": func(t *testing.T, s string) []string { t.Setenv("DATABASE_URL", s); return nil },
	}
	commands := [][]string{{"run", "--until-end"}, {"check"}, {"check", "--json"}, {"status"}, {"verify"}, {"migrate", "up"}, {"migrate", "version"}, {"offsets", "list"}}
	n, refused := 0, 0
	for c := byte(' '); c <= '~'; c++ {
		password := fmt.Sprintf("q7Xv%cZk9wJ%cW8Lm", c, c)
		for form, s := range connections(password, at) {
			for place, put := range places {
				args := put(t, s)
				command := commands[n%len(commands)] // 95 × 6 × 7 are enough for each command to meet each form
				n++
				whole := len(command) == 1 && command[0] != "status" || command[0] == "run" || command[0] == "check"
				if whole && (len(args) == 0 || args[0] == "--to") {
					args = append(args, "--brokers", kafka.brokers, "--topic", "orders")
				}
				r := kafka.sinker(append(command[:len(command):len(command)], args...)...)
				if piece := shows(r.out+r.errors, password); piece != "" || r.code == exitOK {
					t.Errorf("%v with %s (%s, %s) exits %d and shows %q:\n%s%s", command, password, form, place, r.code, piece, r.out, r.errors)
				}
				if r.code != exitUnavailable {
					refused++
				} else if form == "URLAsItIs" && strings.ContainsRune("@/?#%", rune(c)) {
					t.Errorf("%v connects with %s", command, s)
				}
				if form == "URLAsItIs" && strings.ContainsRune("@/?#", rune(c)) && !strings.Contains(r.errors, "%40") {
					t.Errorf("%v does not say how to write %c: %s", command, c, r.errors)
				}
			}
		}
	}
	t.Logf("%d runs, %d of them refused before they connected", n, refused)
}

// TestNoPasswordInTheWrongPlace: a connection URL where another word belongs is not repeated.
func TestNoPasswordInTheWrongPlace(t *testing.T) {
	const password = "q7XvZk9wJW8Lm"
	database := "postgres://u:" + password + "@127.0.0.1:1/db"
	s := newStage(t, ordersSink)
	for _, args := range [][]string{
		{database}, {"run", database}, {"migrate", database}, {"offsets", "list", database}, {"run", "-to", database}, {"run", "-to" + database},
		{"run", "--too=" + database}, {"run", "--" + database}, {"run", "--until-end=" + database}, {"run", "--log-level", database},
		{"run", "--log-format", database}, {"ready", "--timeout", database}, {"ready", "--http", database}, {"run", "--http", database},
		{"run", "--brokers", database}, {"run", "--topic", database}, {"run", "--table", database}, {"run", "--key", database}, {"run", "--name", database},
		{"status", "--name", database}, {"status", "--brokers", database, "--to", s.url}, {"demo", "--rows", database}, {"demo", "--postgres", database},
		{"offsets", "set", "--offset", database}, {"migrate", "--from", database}, {"run", "--to", "${" + database + "}"}, {"check", "--to", "mysql" + database},
	} {
		r := s.sinker(args...)
		if piece := shows(r.out+r.errors, password); piece != "" || r.code == exitOK {
			t.Errorf("%v exits %d and shows %q:\n%s%s", args, r.code, piece, r.out, r.errors)
		}
	}
}
