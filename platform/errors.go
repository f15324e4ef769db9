package platform

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code says what a client can do about an error.
type Code string

// The codes. A new one needs a client that acts on it.
const (
	Unauthenticated   Code = "UNAUTHENTICATED"    // sign in, or refresh the token, and try again
	Forbidden         Code = "FORBIDDEN"          // seen, but not to be done by this caller
	NotFound          Code = "NOT_FOUND"          // does not exist, or not for this caller
	Invalid           Code = "INVALID"            // the input has to be mended
	Conflict          Code = "CONFLICT"           // the state of things does not allow it
	AlreadyShown      Code = "ALREADY_SHOWN"      // a secret that is shown once was shown before
	Disabled          Code = "DISABLED"           // switched off here
	Unavailable       Code = "UNAVAILABLE"        // an outside system or the database does not answer
	ResourceExhausted Code = "RESOURCE_EXHAUSTED" // shed; come back later
	Internal          Code = "INTERNAL"           // our fault
)

// Error is the only error whose text reaches a client, unless its code is
// Internal. Message is one sentence for a person; the cause is for the log.
type Error struct {
	Code    Code
	Message string
	// Field is the input field at fault, or "".
	Field string

	cause error
	never bool
	after time.Duration
}

// Errorf makes an error with a sentence for a person. It takes no %w: a cause
// goes into Because and never into the sentence.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// On names the input field at fault.
func (e *Error) On(field string) *Error {
	e.Field = field
	return e
}

// Because keeps the cause for the log.
func (e *Error) Because(cause error) *Error {
	e.cause = cause
	return e
}

// Never says that trying again cannot help: the cause does not pass by itself.
func (e *Error) Never() *Error {
	e.never = true
	return e
}

// After says how long to wait before trying again, as an outside system's
// Retry-After does. A retry is never earlier.
func (e *Error) After(wait time.Duration) *Error {
	e.after = wait
	return e
}

func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + " (" + e.cause.Error() + ")"
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.cause }

// CodeOf is the code of the first Error in err's chain; Unavailable for a
// deadline that passed, Internal for everything else.
func CodeOf(err error) Code {
	if ours, ok := errors.AsType[*Error](err); ok {
		return ours.Code
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Unavailable
	}
	return Internal
}

// MessageOf is the sentence that a person may read about err.
func MessageOf(err error) string {
	if ours, ok := errors.AsType[*Error](err); ok && ours.Code != Internal {
		return ours.Message
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "It took too long and was given up."
	}
	return "Something went wrong on our side."
}

// CanPass says whether trying again can help. What is not known can pass: a
// bug that was mended, a server that came back.
func CanPass(err error) bool {
	ours, ok := errors.AsType[*Error](err)
	return !ok || !ours.never
}

// RetryAfter is the shortest wait that err asks for, or 0.
func RetryAfter(err error) time.Duration {
	if ours, ok := errors.AsType[*Error](err); ok {
		return ours.after
	}
	return 0
}
