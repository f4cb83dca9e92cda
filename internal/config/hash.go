package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Hash is a short, stable mark of everything that decides what is written: the sinks and the error policy, not
// addresses, secrets or batch sizes. It is kept beside offsets, ledger and dead letters.
func (p *Pipeline) Hash() string {
	text, err := json.Marshal([]any{p.Sinks, p.Errors})
	if err != nil {
		return "" // sinks are plain data
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:12]
}
