package transform

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sinker/internal/pgbin"
)

// ColumnsYAML is the columns as the `columns:` of a configuration lists them, an entry each: name: path type.
func ColumnsYAML(columns []Column) []string {
	entries := make([]string, len(columns))
	for i, c := range columns {
		name, rule := yamlText(c.Name), c.pathOrName()+" "+c.Type
		if _, err := pgbin.ParseType(rule); err == nil {
			rule = inQuotes(c.Name) + " " + c.Type // the path in quotes: without them it would be read as something else
		}
		entries[i] = name + ": " + yamlText(strings.ReplaceAll(rule, "$", "$$"))
	}
	return entries
}

var (
	yamlPlain = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*( [a-z0-9_ ]+)?$`)
	// yamlWords are read as something else than a text when they stand alone.
	yamlWords = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
)

// yamlText is a text of one line, in double quotes where it needs them, also within braces.
func yamlText(s string) string {
	if yamlPlain.MatchString(s) && !slices.Contains(yamlWords, strings.ToLower(s)) {
		return s
	}
	return strconv.Quote(s) // whose escapes are YAML's
}

// inQuotes is a path's segment in quotes.
func inQuotes(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return s // strings always marshal
	}
	return string(text)
}
