package nearest

import "testing"

func TestName(t *testing.T) {
	known := []string{"topic", "topics", "table", "create", "größe"}
	for name, want := range map[string]string{
		"topic": "topic", "topik": "topic", "topicz": "topic", "TOPICS": "topics", "tabel": "table", "taebl": "table", "creat": "create",
		"grosse": "größe", "grösse": "größe", "zzzz": "", "": "", "x": "", "columns": "",
	} {
		if got := Name(name, known); got != want {
			t.Errorf("Name(%q) = %q, want %q", name, got, want)
		}
	}
	if got := Name("a", []string{"b", "ab"}); got != "b" {
		t.Errorf("the first of two that are equally close is %q", got)
	}
	if got := Name("a", nil); got != "" {
		t.Errorf("the nearest of none is %q", got)
	}
}
