package orderdata

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestOrder(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	total := regexp.MustCompile(`^\d{1,4}\.\d\d$`)
	refs := map[string]bool{}
	var size, notes int
	const n = 20_000
	for i := range int64(n) {
		b := Order(nil, i)
		size += len(b)
		var o struct {
			ID       int64
			Customer struct {
				ID      int
				Country string
			}
			Status  string
			Total   json.Number
			Items   int
			Express *bool
			Note    *string
			Created time.Time `json:"created_at"`
			Ref     string
		}
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			t.Fatalf("order %d: %v: %s", i, err, b)
		}
		if o.ID != i || o.Customer.Country == "" || o.Status == "" || o.Items < 1 || o.Express == nil || o.Note == nil || o.Created.Year() != 2026 ||
			!uuid.MatchString(o.Ref) || !total.MatchString(o.Total.String()) {
			t.Fatalf("order %d: %s", i, b)
		}
		if strings.ContainsAny(*o.Note, "\n\"é") {
			notes++
		}
		refs[o.Ref] = true
		if i%1000 == 0 && string(Order([]byte("x"), i)) != "x"+string(b) {
			t.Errorf("order %d is not the same every time, or not appended", i)
		}
	}
	if mean := size / n; mean < 190 || mean > 230 {
		t.Errorf("%d bytes in the mean", mean)
	}
	if len(refs) != n {
		t.Errorf("%d refs of %d orders", len(refs), n)
	}
	if notes < n/4 {
		t.Errorf("only %d notes have something in them that needs care", notes)
	}
}

func BenchmarkOrder(b *testing.B) {
	var buf []byte
	for i := int64(0); b.Loop(); i++ {
		buf = Order(buf[:0], i)
	}
	b.SetBytes(int64(len(buf)))
}
