// Package fault names the kinds of error that the engine returns, so that every layer below it can
// return them and every layer above can tell them apart.
package fault

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// The kinds. Package engine exports them under the same names.
var (
	ErrInvalidArgument = errors.New("invalid argument")
	ErrShortBuffer     = errors.New("short buffer")
	ErrBadModel        = errors.New("bad model")
	ErrIO              = errors.New("input or output failed")
	ErrUnsupported     = errors.New("unsupported")
	ErrOutOfMemory     = errors.New("out of memory")
	ErrDevice          = errors.New("device failed")
	ErrClosed          = errors.New("closed")
	ErrCancelled       = errors.New("cancelled")
)

// Error is a sentence of a kind. Its text is the sentence alone: name, expected, got, remedy.
type Error struct {
	Kind error
	Text string
	Err  error // what caused it, or nil
}

func (e *Error) Error() string { return e.Text }

// Unwrap lets errors.Is find both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// New returns an error of a kind with a formatted sentence. A %w verb keeps its cause.
func New(kind error, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Text: err.Error(), Err: errors.Unwrap(err)}
}

// Invalid is New with ErrInvalidArgument.
func Invalid(format string, args ...any) error { return New(ErrInvalidArgument, format, args...) }

// BadModel is New with ErrBadModel.
func BadModel(format string, args ...any) error { return New(ErrBadModel, format, args...) }

// Excerpt is s for use in a sentence: the start of a long one, so that a hostile name or number
// cannot fill the message.
func Excerpt(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
