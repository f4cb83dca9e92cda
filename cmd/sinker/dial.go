package main

import (
	"errors"
	"fmt"
	"strings"

	"sinker/internal/config"
	"sinker/internal/consume"
)

// kafkaDial is how the configuration says Kafka is reached.
func kafkaDial(k config.Kafka) consume.Dial {
	d := consume.Dial{Brokers: k.Brokers, Version: version}
	if t := k.TLS; t != nil {
		d.TLS = &consume.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName, Insecure: t.Insecure}
	}
	if s := k.SASL; s != nil {
		d.SASL = &consume.SASL{Mechanism: s.Mechanism, Username: s.Username, Password: s.Password.Reveal(), PasswordFile: s.PasswordFile,
			Token: s.Token.Reveal(), TokenFile: s.TokenFile, Extensions: s.Extensions}
	}
	return d
}

// kafkaProblem gives an error of asking Kafka what to do about it, and its exit code: what Kafka refuses is a matter of
// the configuration, anything else of being there.
func kafkaProblem(k config.Kafka, err error) error {
	if err == nil {
		return nil
	}
	err = kafkaDial(k).Explain(err)
	at := strings.Join(k.Brokers, ",")
	var refused *consume.Refusal
	if errors.As(err, &refused) {
		return withCode(exitConfig, fmt.Errorf("Kafka at %s refused: %w", at, err))
	}
	return withCode(exitUnavailable, fmt.Errorf("Kafka at %s can not be reached: %w", at, err))
}
