package main

import (
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
