package platform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	const text = "correct-horse"
	s := NewSecret(text)
	inside := struct {
		Name   string
		Secret Secret
	}{"x", s}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("a line", "secret", s, "inside", inside)
	slog.New(slog.NewTextHandler(&log, nil)).Info("a line", "secret", s, "inside", inside, "pointer", &s)
	document, err := json.Marshal(inside)
	if err != nil {
		t.Fatal(err)
	}
	for where, shown := range map[string]string{
		"String": s.String(), "%s of a struct": fmt.Sprintf("%s", inside), "%v": fmt.Sprint(s), "%+v of a struct": fmt.Sprintf("%+v", inside),
		"%#v": fmt.Sprintf("%#v", s), "%#v of a struct": fmt.Sprintf("%#v", inside), "%q": fmt.Sprintf("%q", s),
		"%x": fmt.Sprintf("%x", s), "a pointer": fmt.Sprintf("%v %+v", &s, &inside),
		"the log": log.String(), "a document": string(document), "an error": Errorf(Internal, "no %v", s).Error(),
	} {
		if strings.Contains(shown, text) || strings.Contains(shown, fmt.Sprintf("%x", text)) {
			t.Errorf("%s shows the secret: %s", where, shown)
		}
	}
	if s.Reveal() != text || s.IsZero() || !NewSecret("").IsZero() {
		t.Errorf("the secret itself: got %q, zero %v", s.Reveal(), s.IsZero())
	}
}
