package app

import (
	"errors"
	"fmt"
	"strings"

	"sinker/internal/config"
	"sinker/internal/consume"
	"sinker/internal/nearest"
	"sinker/internal/record"
	"sinker/internal/txn"
)

// Kind says what an error is about; each has an exit code.
type Kind int

// The kinds.
const (
	Failed        Kind = iota // something failed at run time
	Difference                // verify found a difference
	Usage                     // the command line is wrong
	Unavailable               // Kafka or Postgres cannot be reached
	Configuration             // the configuration is wrong, or the database or the topics do not fit it
)

// kindError is an error whose kind is known.
type kindError struct {
	kind Kind
	err  error
}

func (e *kindError) Error() string { return e.err.Error() }
func (e *kindError) Unwrap() error { return e.err }

// As gives an error its kind. A nil error stays nil.
func As(kind Kind, err error) error {
	if err == nil {
		return nil
	}
	return &kindError{kind, err}
}

// KindOf is the kind of an error: the one that As gave it, or what its type says.
func KindOf(err error) Kind {
	var known *kindError
	if errors.As(err, &known) {
		return known.kind
	}
	var bad *config.Errors
	if errors.As(err, &bad) {
		return Configuration
	}
	var te *txn.Error
	if errors.As(err, &te) {
		switch te.Class {
		case record.Schema, record.Auth:
			return Configuration
		case record.Retry, record.Resource, record.Timeout:
			return Unavailable
		}
	}
	return Failed
}

// kafkaProblem gives an error of asking Kafka its explanation and its kind: what Kafka refuses is a matter of the
// configuration, anything else of reaching it.
func (a *App) kafkaProblem(err error) error {
	return kafkaProblem(a.pipeline.Kafka, a.build, err)
}

func kafkaProblem(k config.Kafka, build Build, err error) error {
	if err == nil {
		return nil
	}
	err = kafkaDial(k, build).Explain(err)
	at := strings.Join(k.Brokers, ",")
	var refused *consume.Refusal
	if errors.As(err, &refused) {
		return As(Configuration, fmt.Errorf("Kafka at %s refused: %w", at, err))
	}
	return As(Unavailable, fmt.Errorf("Kafka at %s cannot be reached: %w", at, err))
}

// missingTopics is what is wrong with the first topic that cannot be read, or nil.
func missingTopics(topics consume.Topics) error {
	if len(topics.Denied) > 0 {
		name := topics.Denied[0]
		return fmt.Errorf("Kafka does not let this user see topic %s, if there is one: give it the ACLs READ and "+
			"DESCRIBE on "+
			"that topic (kafka-acls --add --operation Read --operation Describe --topic %s). Nothing was read or written.",
			name, name)
	}
	if len(topics.Missing) == 0 {
		return nil
	}
	msg := fmt.Sprintf("topic %s does not exist", topics.Missing[0])
	if near := nearest.Name(topics.Missing[0], topics.Present); near != "" {
		msg += fmt.Sprintf("; did you mean %s?", near)
	}
	return fmt.Errorf("%s\nCreate it, or correct the name. Nothing was read or written.", msg)
}
