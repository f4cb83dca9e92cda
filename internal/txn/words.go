package txn

import "sinker/internal/record"

// The words of record that this package uses on nearly every line, under short names.
type (
	TopicPartition  = record.TopicPartition
	LogID           = record.LogID
	Claim           = record.Claim
	Position        = record.Position
	Taken           = record.Taken
	Range           = record.Range
	Batch           = record.Ranges
	MissKind        = record.MissKind
	Miss            = record.Miss
	MissError       = record.MissError
	Class           = record.Class
	Stop            = record.Stop
	StopError       = record.StopError
	Result          = record.Result
	TableResult     = record.TableResult
	LetterCount     = record.LetterCount
	Phases          = record.Phases
	UnaskedField    = record.UnaskedField
	PartitionStatus = record.PartitionStatus
)

const (
	Already  = record.Already
	WentBack = record.WentBack
	Fenced   = record.Fenced
	OtherLog = record.OtherLog
	Gone     = record.Gone
	Ahead    = record.Ahead

	Retry    = record.Retry
	Resource = record.Resource
	Schema   = record.Schema
	Data     = record.Data
	Timeout  = record.Timeout
	Auth     = record.Auth

	Reading = record.Reading
	Waiting = record.Waiting
	Stopped = record.Stopped
)

// ErrSpent is record.ErrSpent.
var ErrSpent = record.ErrSpent
