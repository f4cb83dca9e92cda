package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// generated is a part of docs/configuration.md that Reference writes: the keys of a section by its path, or the hash.
var generated = regexp.MustCompile(`(?s)(<!-- (keys|hash)(?: of ([a-z.]+))?: generated[^\n]*-->\n).*?(<!-- end -->\n)`)

// Reference is docs/configuration.md, with what is generated written again from the declarations. What it returns
// for a page whose markers name no section, or that lacks one, is an error.
func Reference(page []byte) ([]byte, error) {
	sections := map[string]*section{"": &root}
	root.walk(func(_ *section, k *key) {
		if s := k.value.section; s != nil {
			sections[s.path] = s
		}
	})
	var err error
	out := generated.ReplaceAllFunc(page, func(part []byte) []byte {
		m := generated.FindSubmatch(part)
		body, path := "", string(m[3])
		switch s := sections[path]; {
		case string(m[2]) == "hash":
			body = hashReference()
		case s == nil:
			err = fmt.Errorf("there is no section %q, or it is documented twice", path)
		default:
			body = s.reference()
			delete(sections, path)
		}
		return bytes.Join([][]byte{m[1], []byte(body), m[4]}, []byte("\n"))
	})
	for path := range sections {
		if err == nil {
			err = fmt.Errorf("the keys of %q are not documented", path)
		}
	}
	return out, err
}

// reference is a list of the section's keys, in Markdown.
func (s *section) reference() string {
	var b strings.Builder
	for _, k := range s.keys {
		b.WriteString(wrap("- ", fmt.Sprintf("**`%s`**: %s.", k.name, k.facts())))
		b.WriteString(wrap("  ", k.doc))
		if k.value.section == nil {
			b.WriteString(wrap("  ", "Example: `"+strings.ReplaceAll(k.example, "\n", "`, `")+"`."))
		}
	}
	return b.String()
}

// facts are what the key takes, and what happens without it.
func (k *key) facts() string {
	var facts []string
	switch v := k.value; {
	case v.list:
		facts = append(facts, "a list")
	case v.section != nil && v.takes != "":
		facts = append(facts, v.takes+", or a mapping")
	case v.section != nil:
		facts = append(facts, "a mapping")
	default:
		facts = append(facts, v.takes)
	}
	switch {
	case k.initial != "":
		facts = append(facts, "default `"+k.initial+"`")
	case k.required:
		facts = append(facts, "required")
	case k.unsaid != "":
		facts = append(facts, "default: "+k.unsaid)
	}
	if k.flag != nil {
		facts = append(facts, "flag `--"+k.flag.name+"`")
	}
	return strings.Join(facts, "; ")
}

// hashReference lists the keys that the hash is made of.
func hashReference() string {
	var paths []string
	root.walk(func(s *section, k *key) {
		if k.hashed {
			paths = append(paths, "`"+s.pathOf(k)+"`")
		}
	})
	return wrap("", "The hash is made of "+strings.Join(paths, ", ")+".")
}

// wrapAt is the longest line.
const wrapAt = 100

// wrap breaks text into lines; the first begins with lead, the others are indented as far.
func wrap(lead, text string) string {
	var b strings.Builder
	line := lead
	empty := true
	for _, word := range words(text) {
		if !empty && len([]rune(line))+1+len([]rune(word)) > wrapAt {
			b.WriteString(line + "\n")
			line, empty = strings.Repeat(" ", len(lead)), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	b.WriteString(line + "\n")
	return b.String()
}

// words are the text's words; what is within backquotes stays one.
func words(text string) (words []string) {
	code := false
	start := 0
	for i, c := range text {
		switch {
		case c == '`':
			code = !code
		case c == ' ' && !code:
			words = append(words, text[start:i])
			start = i + 1
		}
	}
	return append(words, text[start:])
}
