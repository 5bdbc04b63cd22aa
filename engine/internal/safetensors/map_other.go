//go:build !unix

package safetensors

import (
	"errors"
	"os"
)

// mapFile reads the whole of a regular file, for systems without mmap.
func mapFile(path string) (data []byte, unmap func() error, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is not a regular file")
	}
	data, err = os.ReadFile(path)
	if err != nil {
		return nil, nil, cause(err)
	}
	return data, func() error { return nil }, nil
}
