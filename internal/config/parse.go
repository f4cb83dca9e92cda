package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// mostBytes is the largest file that is read: a configuration is a page or two.
const mostBytes = 1 << 20

// Load reads a file. lookup is os.LookupEnv, or a test's. Everything that is wrong is in the error, an *Errors.
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
	n := r.document(src)
	if n != nil {
		r.source.hideSecrets(n)
	}
	return r.pipeline(n)
}

// pipeline reads the whole tree; nil: there is none, and a problem was noted.
func (r *reader) pipeline(n *yaml.Node) (*Pipeline, error) {
	p := &Pipeline{}
	root.fill(p)
	if n != nil {
		r.mapping(n, &root, p)
	}
	if len(r.problems) == 0 {
		return p, nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return nil, &Errors{r.problems}
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
		r.problems = append(r.problems, Problem{File: r.file, Line: more.Line, Column: more.Column,
			Message: "a second document begins here; a file has one pipeline"})
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
