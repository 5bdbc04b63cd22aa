//go:build unix

package modelfile

import (
	"os"

	"brenier/engine/internal/fault"
)

// syncDirectory makes a rename in it last.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return fault.New(fault.ErrIO, "%s: cannot be flushed: %w", path, err)
	}
	defer directory.Close()
	if err := directory.Sync(); err != nil {
		return fault.New(fault.ErrIO, "%s: cannot be flushed: %w", path, err)
	}
	return nil
}
