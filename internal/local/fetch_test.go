package local

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// archive is a tar of bin/initdb, bin/postgres and bin/pg_ctl, packed with xz: the form the programs are published in.
const archive = `
/Td6WFoAAAFpIt42AgAhARwAAAAQz1jM4Cf/AJhdADEaShsFkZA3OlG9V3Gz1uQT2IkFiqoMHBasuMpKCqpfKPtBYsys5JdzrIb4
A2st7uUH/JzMqJmxoDa7bh41oqNTDt8WHmbX+gUr9ZXny9XNZdH8ZC7KHe0gSkL4nNLrRdxv2g+nXh0DYB2rrDLTAB9cJ/Xn8g8E
3qua2au4/SviUnBTYGEaaS4JmJc1GOi6gDAaRi4ZagsAANYUXicAAbABgFAAAJN2GmU+MA2LAgAAAAABWVo=`

// repository is a Maven repository that has every version for every system, with the given check sum.
func repository(t *testing.T, sum func(jar []byte) string) string {
	t.Helper()
	txz, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(archive, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	f, err := z.Create("postgres.txz")
	if err != nil {
		t.Fatal(err)
	}
	f.Write(txz)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch filepath.Ext(r.URL.Path) {
		case ".jar":
			w.Write(jar.Bytes())
		case ".sha256":
			fmt.Fprint(w, sum(jar.Bytes()))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func rightSum(jar []byte) string { return fmt.Sprintf("%x", sha256.Sum256(jar)) }

func TestFetch(t *testing.T) {
	t.Run("Twice", func(t *testing.T) {
		root := filepath.Join(t.TempDir(), "cache", "postgres")
		for _, from := range []string{repository(t, rightSum), "http://127.0.0.1:1"} { // the second time nothing is downloaded
			bin, err := fetch(from, root)
			if err != nil || !hasServer(bin) {
				t.Fatalf("%s, %v", bin, err)
			}
		}
		info, err := os.Stat(filepath.Join(root, "bin", "postgres"))
		if err != nil || info.Mode().Perm()&0o005 != 0o005 {
			t.Errorf("not everybody can run it: %v, %v", info.Mode(), err)
		}
		onlyIn(t, filepath.Dir(root), "postgres")
	})

	t.Run("WrongCheckSum", func(t *testing.T) {
		root := filepath.Join(t.TempDir(), "postgres")
		if _, err := fetch(repository(t, func([]byte) string { return strings.Repeat("0", 64) }), root); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("error %v", err)
		}
		onlyIn(t, filepath.Dir(root))
	})

	t.Run("NotReachable", func(t *testing.T) {
		root := filepath.Join(t.TempDir(), "postgres")
		if _, err := fetch("http://127.0.0.1:1", root); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("error %v", err)
		}
		onlyIn(t, filepath.Dir(root))
	})
}

// onlyIn checks what is in a folder.
func onlyIn(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("in the folder: %q, want %q", names, want)
	}
}
