package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"brenier/engine"
)

// readArray reads an array from FILE.npy, from FILE.safetensors (the only tensor in it) or
// FILE.safetensors:NAME, or as .npy from standard input where path is "-".
func readArray(c *console, path string) (values []float32, shape []int, err error) {
	values, shape, _, err = readTyped(c, path)
	return values, shape, err
}

// readTyped is readArray, and what the elements were: "f4" of float32, "u1" of bytes, as .npy has it.
func readTyped(c *console, path string) (values []float32, shape []int, kind string, err error) {
	file, name, _ := strings.Cut(path, ".safetensors:")
	if file == path && strings.HasSuffix(path, ".safetensors") {
		file, name = strings.TrimSuffix(path, ".safetensors"), ""
	}
	switch {
	case path == "-":
		values, shape, kind, err = readNpy(c.stdin)
		path = "standard input"
	case file != path:
		values, shape, err = engine.ReadTensor(file+".safetensors", name)
		return values, shape, "f4", err // a tensor of whole numbers is refused
	default:
		values, shape, kind, err = openNpy(path)
	}
	if err != nil && !os.IsNotExist(err) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return values, shape, kind, err
}

func openNpy(path string) (values []float32, shape []int, kind string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, "", err
	}
	defer file.Close()
	return readNpy(file)
}

// readMatrix reads an array [n,d].
func readMatrix(c *console, path string) (values []float32, n, d int, err error) {
	values, shape, err := readArray(c, path)
	if err != nil {
		return nil, 0, 0, err
	}
	if len(shape) != 2 || shape[1] < 1 {
		return nil, 0, 0, fmt.Errorf("%s: want a matrix [n,d], got shape %v", path, shape)
	}
	return values, shape[0], shape[1], nil
}

// readVector reads an array [n].
func readVector(c *console, path string) ([]float32, error) {
	values, shape, err := readArray(c, path)
	if err == nil && len(shape) != 1 {
		err = fmt.Errorf("%s: want a vector [n], got shape %v", path, shape)
	}
	return values, err
}

// writeFile has write fill a new file beside path, which it then becomes: path holds the old file
// or the whole new one, never a part. "-" is standard output.
func writeFile(c *console, path string, write func(w io.Writer) error) error {
	if path == "-" {
		return write(c.stdout)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // no longer there once it is renamed
	defer file.Close()
	if err := write(file); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
