package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// mostBytes is the largest file that is read: a configuration is a page or two.
const mostBytes = 1 << 20

// Load reads a file; lookup is os.LookupEnv, or a test's. Everything that is wrong is in the error, an *Errors.
func Load(path string, lookup func(string) (string, bool)) (*Pipeline, error) {
	src, err := readFile(path)
	if err != nil {
		return nil, &Errors{[]Problem{{File: path, Message: fmt.Sprintf("cannot read it: %v", err)}}}
	}
	return Parse(path, src, lookup)
}

// readFile reads up to one byte more than Parse takes: a device has no end.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, mostBytes+1))
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return src, err
}

// Parse reads a configuration; name is the file's, for messages.
func Parse(name string, src []byte, lookup func(string) (string, bool)) (*Pipeline, error) {
	r := &reader{file: name, source: newSource(src), lookup: lookup}
	p := defaults()
	if root := r.document(src); root != nil {
		r.source.hideSecrets(root)
		r.pipeline(root, p)
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
		return nil, &Errors{r.problems}
	}
	p.Batch.complete(p.Sinks)
	p.Kafka.MaxBatch = cmp.Or(p.Kafka.MaxBatch, maxBatch)
	return p, nil
}

// document returns the root of the one document in src.
func (r *reader) document(src []byte) *yaml.Node {
	if len(src) > mostBytes {
		r.problem(nil, "is larger than 1 MiB: is it the right file?")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			r.problem(nil, "is empty; six lines are a pipeline: see sinker.example.yaml")
			return nil
		}
		r.syntax(err)
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			r.syntax(err)
			return nil
		}
		p := Problem{File: r.file, Line: more.Line, Column: more.Column, Message: "a second document begins here; a file holds one pipeline"}
		r.problems = append(r.problems, p)
		return nil
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		r.problem(nil, "is empty; six lines are a pipeline: see sinker.example.yaml")
		return nil
	}
	return doc.Content[0]
}

// yamlPlace is how the YAML parser says where, yamlQuoted what it quotes of the file.
var (
	yamlPlace  = regexp.MustCompile(`line (\d+)(?:,? column (\d+))?:? ?`)
	yamlQuoted = regexp.MustCompile(`(anchor|alias|tag|handle|directive) ['"].*['"]`)
)

// syntax reports the YAML parser's error at its place, without the line: there is no telling yet what is a secret.
func (r *reader) syntax(err error) {
	p := Problem{File: r.file}
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlPlace.FindStringSubmatch(msg); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Column, _ = strconv.Atoi(m[2])
		p.Column = max(p.Column, 1)
		msg = strings.Replace(msg, m[0], "", 1)
	}
	msg = yamlQuoted.ReplaceAllString(msg, "$1")
	line := ""
	if p.Line > 0 && p.Line <= len(r.source.lines) {
		line = r.source.lines[p.Line-1]
	}
	if strings.HasPrefix(strings.TrimLeft(line, " "), "\t") {
		msg += " (a tab: YAML is indented with spaces)"
	}
	if strings.Contains(line, "${") {
		msg += ` (a ${…} within { } must stand in quotes: "${VAR}")`
	}
	if strings.Contains(err.Error(), "anchor") {
		msg += " (a value that begins with * must stand in quotes)"
	}
	p.Message = "not YAML: " + msg
	r.problems = append(r.problems, p)
}

// pipeline reads the whole.
func (r *reader) pipeline(n *yaml.Node, p *Pipeline) {
	given := r.fields(n, "the configuration",
		field{"name", r.name(&p.Name)},
		field{"kafka", func(n *yaml.Node) { r.kafka(n, &p.Kafka) }},
		field{"postgres", func(n *yaml.Node) { r.postgres(n, &p.Postgres) }},
		field{"batch", func(n *yaml.Node) { r.batch(n, &p.Batch) }},
		field{"workers", r.number(&p.Workers, "workers", 1, 64)},
		field{"sinks", func(n *yaml.Node) { r.sinks(n, p) }},
		field{"errors", func(n *yaml.Node) { r.errorPolicy(n, &p.Errors) }},
		field{"http", r.http(&p.HTTP)},
	)
	for _, need := range []string{"kafka", "postgres", "sinks"} {
		if n.Kind == yaml.MappingNode && given[need] == nil {
			r.problem(n, "%s is missing", need)
		}
	}
}

var pipelineName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,200}$`)

func (r *reader) name(dst *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "name")
		if ok && !pipelineName.MatchString(s) {
			r.problem(n, "name must be up to 200 letters, digits, dots, dashes and underscores, not %s", r.quoted(n))
			return
		}
		*dst = s
	}
}

func (r *reader) http(dst *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "http")
		if !ok {
			return
		}
		if problem := BadHTTP(s); problem != "" {
			r.problem(n, "http %s, not %s", problem, r.quoted(n))
			return
		}
		*dst = s
	}
}

// BadHTTP says what is wrong with an address for health, metrics and the status page.
func BadHTTP(s string) string {
	_, port, err := net.SplitHostPort(s)
	if p, badPort := strconv.Atoi(port); s != "off" && (err != nil || badPort != nil || p < 0 || p > 65535) {
		return "must be host:port, such as 127.0.0.1:8080 or :8080 (every address), or off"
	}
	return ""
}

func (r *reader) batch(n *yaml.Node, b *Batch) {
	r.fields(n, "batch",
		field{"rows", r.number(&b.Rows, "batch.rows", 1, 10_000_000)},
		field{"bytes", r.bytes(&b.Bytes, "batch.bytes")},
		field{"every", r.duration(&b.Every, "batch.every", 0, time.Hour)})
}

func (r *reader) errorPolicy(n *yaml.Node, e *ErrorPolicy) {
	var on string
	given := r.fields(n, "errors",
		field{"on", r.oneOf(&on, "errors.on", "record")},
		field{"do", r.oneOf(&e.Do, "errors.do", "dead_letter", "stop")},
		field{"stop_after", r.share(&e.StopAfter, "errors.stop_after")})
	if e.Do == "stop" && given["stop_after"] != nil {
		r.problem(given["stop_after"], "errors.stop_after goes with do: dead_letter; do: stop already stops at the first bad record")
	}
}
