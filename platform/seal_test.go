package platform

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

func sealing(key string) *Platform { return New(Options{SealKey: NewSecret(key)}) }

func TestASealOpensWithItsKeyAndForItsDocumentAlone(t *testing.T) {
	t.Parallel()
	ours := sealing("ours")
	sealed, err := ours.seal(NewSecret("open sesame"), "mem_a")
	if err != nil || strings.Contains(string(sealed), "sesame") {
		t.Fatalf("got %q, %v", sealed, err)
	}
	if again, err := ours.seal(NewSecret("open sesame"), "mem_a"); err != nil || again == sealed {
		t.Errorf("the same twice is told to be the same: %v", err)
	}
	raw, err := base64.RawStdEncoding.DecodeString(string(sealed))
	if err != nil || strings.Contains(string(raw), "sesame") {
		t.Fatalf("got %q, %v", raw, err)
	}
	raw[len(raw)-1] ^= 1
	touched := Sealed(base64.RawStdEncoding.EncodeToString(raw))
	for name, test := range map[string]struct {
		by     *Platform
		sealed Sealed
		in     ID
		want   string
		fails  bool
		reason string
	}{
		"as it was sealed": {ours, sealed, "mem_a", "open sesame", false, "that is what it is for"},
		"none":             {ours, "", "mem_a", "", false, "none is none"},
		"none, any key":    {sealing("theirs"), "", "mem_a", "", false, "nothing has to be opened"},
		"another document": {ours, sealed, "mem_b", "", true, "a seal that was copied is good for nothing"},
		"another key":      {sealing("theirs"), sealed, "mem_a", "", true, "the configuration is wrong"},
		"no key":           {sealing(""), sealed, "mem_a", "", true, "an empty key is one too"},
		"touched":          {ours, touched, "mem_a", "", true, "somebody wrote into the database"},
		"no base64":        {ours, "%", "mem_a", "", true, "no seal at all"},
		"too short":        {ours, "QUJD", "mem_a", "", true, "shorter than what every seal begins with"},
		"just the nonce":   {ours, sealed[:16], "mem_a", "", true, "cut off"},
	} {
		got, err := test.by.open(test.sealed, test.in)
		if got.Reveal() != test.want || (err != nil) != test.fails {
			t.Errorf("%s: got %q, %v (%s)", name, got.Reveal(), err, test.reason)
		}
		if err != nil && (CanPass(err) || CodeOf(err) != Internal || strings.Contains(err.Error(), "sesame")) {
			t.Errorf("%s: got %v, want an error of ours that does not pass", name, err)
		}
	}
}

func TestOneTimePasswordsAreReadAloudAndNeverTheSame(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^([a-hjkmnp-z2-9]{5}-){3}[a-hjkmnp-z2-9]{5}$`)
	seen := map[string]bool{}
	for range 500 {
		p := newPassword().Reveal()
		if !form.MatchString(p) || seen[p] {
			t.Fatalf("got %q", p)
		}
		seen[p] = true
	}
}
