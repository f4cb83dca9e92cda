package main

import (
	"strings"
	"testing"
)

// TestCheckComparesFields: `check` shows the table that would be made, and names columns without a field and fields without a column.
func TestCheckComparesFields(t *testing.T) {
	const sink = "sinks: [{ topic: orders, table: orders, create: yes, %s }]\n"
	s := newStage(t, strings.Replace(sink, "%s", "meta: offset", 1))
	s.sinker("migrate", "up", "-c", s.file).want(t, exitOK, "")
	s.produce(values(`{"id":1,"customerId":7,"ctid":1,"zip":"09005","a b":null}`, `{"id":2,"at":"2026-11-22"}`)...)
	r := s.sinker("check", "-c", s.file)
	for _, says := range []string{`CREATE TABLE "public"."orders" ("id" numeric, "customerId" numeric, "zip" text, "a b" text, "at" date, "kafka_offset" bigint)`,
		"columns:\n", ` id: id numeric` + "\n", ` customerId: customerId numeric` + "\n", ` a b: "\"a b\" text"` + "\n", "the field ctid cannot be a column and is not loaded"} {
		r.want(t, exitOK, says)
	}
	if s.one(`SELECT to_regclass('orders') IS NULL`) != "true" {
		t.Fatal("check made the table")
	}

	s.exec(`CREATE TABLE orders (id bigint, customer_id int, gone text, kafka_offset bigint)`)
	r = s.sinker("check", "-c", s.file)
	for _, says := range []string{"none of 2 sampled records has a field for customer_id (field customerId?), gone\n",
		`no column of "public"."orders" takes customerId (for column customer_id?), ctid, zip, "a b", at: their values are not loaded`} {
		r.want(t, exitOK, says)
	}
	if strings.Contains(r.out, "CREATE TABLE") {
		t.Errorf("the table exists:\n%s", r.out)
	}
	s.configure(strings.Replace(sink, "%s", "columns: { id: id bigint, gone: o.gone text }", 1))
	r = s.sinker("check", "-c", s.file)
	r.want(t, exitOK, "none of 2 sampled records has a field for gone from o.gone\n")
	r.want(t, exitOK, `no column of "public"."orders" takes customerId, ctid, zip, "a b", at`+"\n")

	s.produce(values(`{"ID":3}`)...)
	s.sinker("check", "-c", s.file).want(t, exitOK, "the names differ in form only: list the column as `id: ID`")
}
