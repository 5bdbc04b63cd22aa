package safetensors

import (
	"errors"
	"os"

	"brenier/engine/internal/fault"
)

// Open maps a file into memory (where the system cannot, it reads it) and parses it. The file must
// not be changed by anyone until Close: a mapped file that is cut short under its reader ends the
// process, as for every program that maps files. A fault names the path; it is fault.ErrIO
// if the system refused and fault.ErrBadModel if the content is unsound.
func Open(path string) (*File, error) {
	data, unmap, err := mapFile(path)
	if err != nil {
		return nil, fault.New(fault.ErrIO, "%s: cannot be read: %w", path, err)
	}
	f, err := Parse(data)
	if err != nil {
		unmap()
		return nil, fault.BadModel("%s: %w", path, err)
	}
	f.unmap = unmap
	return f, nil
}

// cause is the system's reason without the path, which the caller's sentence names.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
