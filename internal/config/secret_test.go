package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// mark is put into every secret and looked for in everything that is printed.
const mark = "c4n4ry"

// marked has the mark in every place of a configuration that may hold a secret.
const marked = `kafka:
  brokers: far.example:9092
  tls: yes
  sasl:
    mechanism: SCRAM-SHA-512
    username: app
    password: ` + mark + `
postgres:
  url: postgres://u:` + mark + `@h/db
  migrate_url: host=h password='` + mark + ` ` + mark + `' user=x
sinks:
  - topic: orders
    table: orders
`

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	p, err := Parse("x.yaml", []byte(marked), database)
	if err != nil {
		t.Fatal(err)
	}
	p.Kafka.SASL.Token = mark
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).Info("x", "pipeline", p, "url", p.Postgres.URL, "sasl", *p.Kafka.SASL, "kafka", p.Kafka)
	}
	asJSON, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(p.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	printed := map[string]string{"JSON": string(asJSON), "YAML": string(asYAML), "log": log.String(), "Hash": p.Hash(),
		"Redacted": p.Redacted()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%z", "%10.3s"} {
		printed[verb] = fmt.Sprintf(verb, p) + fmt.Sprintf(verb, p.Kafka.SASL) + fmt.Sprintf(verb, p.Postgres) +
			fmt.Sprintf(verb, p.Postgres.URL)
	}
	for how, s := range printed {
		if strings.Contains(s, mark) || strings.Contains(s, fmt.Sprintf("%x", mark)) {
			t.Errorf("%s shows a secret: %s", how, s)
		}
	}
	if p.Postgres.URL.Reveal() != "postgres://u:"+mark+"@h/db" {
		t.Error("Reveal does not give the secret")
	}
}

// TestNoProblemShowsASecret makes mistakes beside, around and in secrets.
func TestNoProblemShowsASecret(t *testing.T) {
	for name, change := range map[string][2]string{
		"MisspelledKey":   {"password:", "pasword:"},
		"KeyOfOtherPlace": {"    password:", "    url:"},
		"TwiceGiven":      {"    username: app", "    username: app\n    password: " + mark},
		"NextToIt": {"    username: app\n    password: " + mark, "    username: app\n    password: " + mark +
			"\n    x: 1"},
		"FlowLine": {"  sasl:\n    mechanism: SCRAM-SHA-512\n    username: app\n    password: " + mark,
			"  sasl: { username: app, password: " + mark + ", mechanism: SCRAM, y: 1 }"},
		"List":               {"password: " + mark, "password: [" + mark + "]"},
		"Mapping":            {"password: " + mark, "password: { " + mark + ": 1 }"},
		"ManyLines":          {"password: " + mark, "password: >\n      a\n      " + mark + "\n    x: 1"},
		"ManyLinesInQuotes":  {"password: " + mark, "password: \"a\n\n      " + mark + "\" \n    x: 1"},
		"OpenQuote":          {"password: " + mark, "password: '" + mark},
		"Anchor":             {"password: " + mark, "password: *" + mark},
		"Tag":                {"password: " + mark, "password: !" + mark + " x"},
		"AliasElsewhere":     {"password: " + mark, "password: &pw " + mark + "\nname: a\nhttp: *pw"},
		"Dollar":             {"password: " + mark, "password: a${" + mark},
		"DollarForm":         {"password: " + mark, "password: ${" + mark + "!}"},
		"DefaultOfAVariable": {"password: " + mark, "password: '${UNSET:x" + mark + "}'"},
		"SASLIsAValue": {"sasl:\n    mechanism: SCRAM-SHA-512\n    username: app\n    password: " + mark,
			"sasl: " + mark},
		"OtherMechanism":        {"SCRAM-SHA-512", "OAUTHBEARER"},
		"InTheClear":            {"tls: yes\n  sasl:\n    mechanism: SCRAM-SHA-512", "sasl:\n    mechanism: PLAIN"},
		"WrongURL":              {"postgres://u:", "mysql://u:"},
		"WrongPort":             {"@h/db", "@h:port/db"},
		"WrongSSLMode":          {"@h/db", "@h/db?sslmode=maybe"},
		"PercentInURL":          {"@h/db", "%zz@h/db"},
		"BlankInURL":            {"@h/db", " x@h/db"},
		"OpenQuoteInKeywords":   {mark + "' user=x", mark + " user=x"},
		"KeywordWithoutAnEqual": {"host=h password='", "host=h password=a "},
		"URLAsKey":              {"url: postgres://u:" + mark + "@h/db", "{postgres://u:" + mark + "@h/db}"},
		"URLAsBroker":           {"far.example:9092", "postgres://u:" + mark + "@h/db"},
		"VariableAsBroker":      {"far.example:9092", "${MARK}"},
		"VariableAsWorkers":     {"kafka:", "workers: ${MARK}\nkafka:"},
		"URLAsTable":            {"table: orders", "table: postgres://u:" + mark + "@h/db"},
		"SecondDocument":        {"sinks:", "---\npassword: " + mark + "\nsinks:"},
		"WholeInWrongPlace":     {"postgres:", "postgress:"},
		"RequiredVariable":      {"password: " + mark, "password: ${UNSET:?set it}"},
	} {
		t.Run(name, func(t *testing.T) {
			src := strings.Replace(marked, change[0], change[1], 1)
			if src == marked {
				t.Fatal("nothing was changed")
			}
			_, err := Parse("x.yaml", []byte(src), vars("MARK", mark))
			if err == nil {
				t.Fatal("no error")
			}
			for _, s := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, err)} {
				if strings.Contains(s, mark) {
					t.Errorf("the error shows a secret:\n%s", s)
				}
			}
		})
	}
	t.Run("Flags", func(t *testing.T) {
		_, err := FromFlags(Flags{"brokers": {"postgres://u:" + mark + "@h/db"}, "topic": {"a"},
			"to": {"mysql://u:" + mark + "@h"}, "table": {"a.b.c"}}, vars())
		if err == nil || strings.Contains(err.Error(), mark) {
			t.Error(err)
		}
	})
}

// TestAProblemShowsItsLine holds that hiding secrets leaves the rest.
func TestAProblemShowsItsLine(t *testing.T) {
	_, err := Parse("x.yaml", []byte(strings.Replace(marked, "app\n", "app\n    mechanizm: x\n",
		1)+"    kee: id\nworkers: many # of them\r\n"), database)
	want := `x.yaml:7:5: unknown key "mechanizm" in kafka.sasl; did you mean "mechanism"?
        mechanizm: …
        ^
x.yaml:15:5: unknown key "kee" in a sink; did you mean "key"?
        kee: …
        ^
x.yaml:16:10: workers must be a whole number from 1 to 64, not "many"
    workers: many # of them
             ^`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestRedactURL(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://u:" + mark + "@h:5432/db":                            "postgres://u:***@h:5432/db",
		"postgres://u@h/db?sslmode=require":                              "postgres://u@h/db?sslmode=require",
		"postgres://h:5432/db":                                           "postgres://h:5432/db",
		"postgres://u:" + mark + "@h/db?sslpassword=" + mark + "&a=b":    "postgres://u:***@h/db?sslpassword=***&a=b",
		"postgres://u@h/db?pass%77ord=" + mark:                           "postgres://u@h/db?pass%77ord=***",
		"postgres://u:12#" + mark + "@h/db":                              "postgres://u:***@h/db",
		"postgres://u:12?" + mark + "@h/db":                              "postgres://u:***@h/db",
		"postgres://u:12/" + mark + "@h/db":                              "postgres://u:***@h/db",
		"postgres://u:x@" + mark + "@h/db?password=" + mark:              "postgres://u:***@h/db?***",
		"postgres://u:%zz" + mark + "@h/db":                              "postgres://u:***@h/db",
		"postgres://u@h/db?password=a#" + mark:                           "postgres://u:***@h/db?***",
		"host=h password=" + mark + " user=x":                            "host=h password=*** user=x",
		"host=h password = '" + mark + ` \' ` + mark + "' user=x":        "host=h password=*** user=x",
		`password=a\ ` + mark + ` sslpassword=` + mark + ` dbname='a b'`: "password=*** sslpassword=*** dbname='a b'",
		"password='a " + mark:                                            "***",
		"password=a " + mark + " host=h":                                 "***",
		mark:                                                             "***",
		"":                                                               "",
	} {
		if got := RedactURL(in); got != want || strings.Contains(got, mark) {
			t.Errorf("RedactURL(%s) = %s, want %s", in, got, want)
		}
	}
}
