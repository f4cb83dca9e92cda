package transform

import (
	"fmt"
	"slices"
	"strings"
)

// The modes: how the rows of a rule get into their table. Package txn writes them, each in a file of its own.
const (
	ModeAppend    = "append"    // each record is a new row
	ModeUpsert    = "upsert"    // the last record of each key is the key's row
	ModeAggregate = "aggregate" // records with equal group columns are folded into one row
)

// modeKeys is what the configuration knows of a mode: the keys of a sink that choose it, and those
// that do not go with it.
type modeKeys struct {
	name   string
	chosen string          // the key that chooses the mode; "" chooses it when no other mode is
	is     func(Rule) bool // whether a rule is of the mode, if it is of none of those before

	own     []ownKey
	needs   bool   // at least one of own
	hint    string // what to write then
	refuses []string
	because string // why it refuses them

	rows  int   // of a batch, where the configuration does not say
	bytes int64 // the same
}

// ownKey is a key that no other mode takes, and what is wrong with it there.
type ownKey struct{ key, elsewhere string }

// DeleteTombstone stands for the key delete with the value tombstone.
const DeleteTombstone = "delete: tombstone"

const needsGroup = "requires group, which says what makes a group of records"

// allModes is the one place that decides between modes, the first that fits first.
var allModes = []modeKeys{
	{name: ModeAggregate, chosen: "group", is: func(r Rule) bool { return len(r.Folds) > 0 },
		own: []ownKey{{"add", needsGroup}, {"max", needsGroup}, {"min", needsGroup}}, needs: true,
		hint:    "`add: { records: 1 }` counts the records",
		refuses: []string{"columns", "key", DeleteTombstone, "meta"},
		because: "the table's rows are groups of records, and group, add, max and min name its columns",
		// It keeps groups and no records, and the more records come to a group the less Postgres has to do.
		rows: 500_000, bytes: 128 << 20},
	{name: ModeUpsert, chosen: "key", is: func(r Rule) bool { return len(r.Key) > 0 },
		own: []ownKey{{DeleteTombstone,
			"requires `key` to identify the row; `delete: ignore` skips records with a null value"}},
		rows: 100_000, bytes: 32 << 20},
	{name: ModeAppend, is: func(Rule) bool { return true }, rows: 100_000, bytes: 32 << 20},
}

// Mode is the mode of the rule.
func (r Rule) Mode() string { return r.modeKeys().name }

func (r Rule) modeKeys() *modeKeys {
	i := slices.IndexFunc(allModes, func(m modeKeys) bool { return m.is(r) })
	return &allModes[i]
}

// Modes are the names of all modes.
func Modes() (names []string) {
	for i := range allModes {
		names = append(names, allModes[i].name)
	}
	return names
}

// UsualBatch is how many records and bytes a transaction has at most, where the configuration does not say.
func (r Rule) UsualBatch() (rows int, bytes int64) { m := r.modeKeys(); return m.rows, m.bytes }

// KeyProblem is a key of a sink's configuration that does not go with the sink's other keys.
type KeyProblem struct {
	Key  string // where the problem is
	Text string
}

// CheckKeys says which of a sink's keys do not go with the mode that they choose. given says
// whether the sink has a key; it is asked for "delete: tombstone" where the value matters.
func CheckKeys(given func(key string) bool) (problems []KeyProblem) {
	mode := &allModes[slices.IndexFunc(allModes, func(m modeKeys) bool { return m.chosen == "" || given(m.chosen) })]
	problem := func(key, format string, args ...any) {
		name, _, _ := strings.Cut(key, ":")
		problems = append(problems, KeyProblem{name, fmt.Sprintf(format, args...)})
	}
	if mode.needs && !slices.ContainsFunc(mode.own, func(k ownKey) bool { return given(k.key) }) {
		problem(mode.chosen, "%s requires %s: %s", mode.chosen, oneOf(mode.own), mode.hint)
	}
	for _, k := range mode.refuses {
		if given(k) {
			problem(k, "%s does not go with %s: %s", k, mode.chosen, mode.because)
		}
	}
	for i := range allModes {
		if other := &allModes[i]; other != mode {
			for _, k := range other.own {
				if given(k.key) && !slices.Contains(mode.refuses, k.key) {
					problem(k.key, "%s %s", k.key, k.elsewhere)
				}
			}
		}
	}
	return problems
}

// oneOf lists two keys or more.
func oneOf(keys []ownKey) string {
	last := len(keys) - 1
	text := keys[0].key
	for _, k := range keys[1:last] {
		text += ", " + k.key
	}
	return text + " or " + keys[last].key
}
