package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// hashForm leads every hash. It changes when the way of making hashes does, so that a hash of another form is not
// taken for one of another configuration.
const hashForm = "v2-"

// Hash is a short mark of everything that decides what is written: the keys that are declared as hashed, and nothing
// about addresses, secrets or batch sizes. Configurations of the same meaning have the same hash, however they are
// written. It is kept with offsets, ledger and dead letters, and nothing is decided by it.
func (p *Pipeline) Hash() string {
	sum := sha256.Sum256([]byte(strings.Join(root.meaning(p), "\n")))
	return hashForm + hex.EncodeToString(sum[:])[:12]
}

// meaning is a line for each hashed key that differs from its default, in the order of the alphabet: path=value.
func (s *section) meaning(owner any) (lines []string) {
	for _, k := range s.keys {
		if k.value.section != nil {
			for i, inner := range k.value.owners(owner) {
				name := k.name
				if k.value.list {
					name = fmt.Sprintf("%s[%d]", k.name, i)
				}
				for _, line := range k.value.section.meaning(inner) {
					lines = append(lines, name+"."+line)
				}
			}
			continue
		}
		if !k.hashed {
			continue
		}
		if text := k.value.canon(owner); text != k.unhashed() {
			lines = append(lines, k.name+"="+strconv.Quote(text))
		}
	}
	slices.Sort(lines)
	return lines
}

// unhashed is the value that the hash leaves out, as canon writes it.
func (k *key) unhashed() string {
	text := k.neutral
	if text == "" {
		text = k.initial
	}
	if text == "" {
		return ""
	}
	return k.value.canonOf(text)
}
