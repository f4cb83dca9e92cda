package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

var dataFaults = []*fault{
	{name: "poison-records", about: "records that cannot become rows, among the others: each must be a dead letter",
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return st.load.poison(ctx, rng, 20+rng.IntN(200), poisons)
		}},
	{name: "constraint-poison", about: "records that only Postgres refuses, by a CHECK or a type's limit",
		fire: func(ctx context.Context, st *stage, rng *rand.Rand) (string, error) {
			return st.load.poison(ctx, rng, 5+rng.IntN(40), refused)
		}},
	{name: "operator-mistakes", about: "an operator sets positions so that records would be lost or doubled: " +
		"refused, nothing changes", fire: mistakes},
}

// poisons are values that no row can be made of, each with a %d for its number. null stands for no value. None has a
// group, so that the table of sums cannot take it either, even where that does not want the column that is wrong.
var poisons = []string{
	`{"id":%d,"k":"x","n":1,`, `not json %d`, `[%d]`, `"%d"`, `{"k":"no id","n":%d,"amount":"1.00","sum":1}`,
	`{"id":null,"k":"x","n":%d,"amount":"1.00","sum":1}`,
	`{"id":%d,"k":"x","n":99999999999999999999,"amount":"1.00","sum":1}`,
	`{"id":%d,"k":"x","n":1.5,"amount":"1.00","sum":1}`,
	`{"id":%d,"k":"a\u0000b","n":1,"amount":"1.00","sum":1}`, `{"id":%d,"k":"\ud800","n":1,"amount":"1.00","sum":1}`,
	"{\"id\":%d,\"k\":\"\xff\xfe\",\"n\":1,\"amount\":\"1.00\",\"sum\":1}",
	`{"id":%d,"k":"x","n":1,"amount":"1.005","sum":1}`, `{"id":%d,"k":"x","n":1,"amount":"12345678901.00","sum":1}`,
	`{"id":%d,"k":"x","n":"one","amount":"1.00","sum":1}`,
	`{"id":%d,"k":"x","n":1,"amount":"NaN?","sum":1}`, `{"id":%d,"k":{"an":"object"},"n":[1],"amount":"1.00","sum":1}`,
	`{"id":%d,"k":"deep","n":1,"amount":"1.00","sum":1,"deep":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) +
		`}`,
}

// refused are values that are well formed, and that Postgres does not take. Each has a key of its own: of two upserts
// of one key in a batch the earlier one never comes to Postgres. The table of sums has no such CHECK: there the first
// two count, in the same transaction that makes dead letters of them for the other table.
var refused = []string{
	`{"id":%[1]d,"k":"bad-%[1]d","n":-1,"amount":"1.00","sum":1,"g":"g7"}`,
	`{"id":%[1]d,"k":"bad-%[1]d","n":-9000000000000000000,"amount":"2.00","sum":1,"g":"g8"}`,
	`{"id":%[1]d,"k":"bad-%[1]d","n":-2,"amount":"3.00","sum":1}`,
}

// poison produces bad records into all big topics.
func (l *load) poison(ctx context.Context, rng *rand.Rand, count int, values []string) (string, error) {
	taken := 0
	for range count {
		t := tables[rng.IntN(len(tables))]
		id := l.ids.Add(1)
		r := &kgo.Record{Topic: t.name, Key: fmt.Appendf(nil, "%s%d", badKey, id),
			Value: fmt.Appendf(nil, values[rng.IntN(len(values))], id)}
		if err := l.plain[t.name].ProduceSync(ctx, r).FirstErr(); err != nil {
			return "", errors.Join(err, fmt.Errorf("after %d records", taken))
		}
		taken++
	}
	l.letters.Add(int64(taken))
	return fmt.Sprintf("%d records", taken), nil
}

// mistakes tries what an operator must not be let do without saying so in words.
func mistakes(ctx context.Context, st *stage, _ *rand.Rand) (string, error) {
	refusals := 0
	for _, offset := range []string{"0", "99999999999"} {
		out, err := st.operator(ctx, mainPipeline, "offsets", "set", "--topic", "events", "--partition", "0", "--offset",
			offset)
		switch {
		case err == nil:
			st.tally.problem("`sinker offsets set --offset %s` was not refused: %s", offset, out)
		case exitCode(err) == 64:
			refusals++
		}
	}
	if refusals == 0 {
		return "", errors.New("Postgres could not be asked")
	}
	return fmt.Sprintf("refused %d times", refusals), nil
}
