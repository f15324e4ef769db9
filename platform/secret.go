package platform

import "log/slog"

// Secret is a text that no log, error or document shows. Only Reveal gives it
// away, and where that is called is easy to find.
type Secret struct{ text string }

// NewSecret keeps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.text }

// IsZero says that there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

const hidden = "•••"

func (s Secret) String() string { return hidden }

// GoString hides the secret from %#v too.
func (s Secret) GoString() string { return hidden }

// LogValue hides the secret from the log.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON hides the secret from documents.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
