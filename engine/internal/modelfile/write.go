package modelfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"brenier/engine/internal/fault"
	"brenier/engine/internal/safetensors"
)

// Write checks the model and writes it to path: first to a temporary file beside it, which is
// flushed to the disk and then renamed, so that path holds the old file or the whole new one. The
// same model always gives the same bytes, and reads back with the same bits in every tensor that
// its dtype holds exactly. An unsound model is fault.ErrBadModel, a value that its dtype cannot
// hold fault.ErrInvalidArgument, a refusal of the system fault.ErrIO.
func Write(path string, m *Model) error {
	if err := m.check(); err != nil {
		return fault.BadModel("%s: not written: %w", path, err)
	}
	return writeFile(path, func(w io.Writer) error {
		err := m.encode(w)
		switch {
		case errors.Is(err, fault.ErrIO):
			return refused(path, err)
		case err != nil:
			return fmt.Errorf("%s: not written: %w", path, err) // of the kind that it has
		}
		return nil
	})
}

// WriteBytes writes data to path as Write does a model: path holds the old file or all of the new.
func WriteBytes(path string, data []byte) error {
	return writeFile(path, func(w io.Writer) error {
		if _, err := w.Write(data); err != nil {
			return refused(path, err)
		}
		return nil
	})
}

// writeFile has a new file beside path filled, which then takes its place.
func writeFile(path string, fill func(io.Writer) error) (err error) {
	file, err := createBeside(path)
	if err != nil {
		return refused(path, err)
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(file.Name())
		}
	}()
	if err := fill(file); err != nil {
		return err
	}
	if err := publish(file, path); err != nil {
		return refused(path, err)
	}
	return syncDirectory(filepath.Dir(path))
}

// refused is what the system says against path, without the name of the temporary file.
func refused(path string, err error) error {
	var of *os.PathError
	var between *os.LinkError
	switch {
	case errors.As(err, &of):
		err = of.Err
	case errors.As(err, &between):
		err = between.Err
	}
	return fault.New(fault.ErrIO, "%s: cannot be written: %w", path, err)
}

// publish flushes a temporary file and gives it its name.
func publish(file *os.File, path string) error {
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// Encode returns the bytes that Write would write.
func Encode(m *Model) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fault.BadModel("model: not written: %w", err)
	}
	var buffer bytes.Buffer
	err := m.encode(&buffer)
	return buffer.Bytes(), err
}

// encode writes a model that has been checked.
func (m *Model) encode(w io.Writer) error {
	metadata := map[string]string{"format": "brenier", "version": Version}
	for name, source := range sources {
		if source == m.Source {
			metadata["source"] = name
		}
	}
	for key, value := range map[string]struct {
		there bool
		value any
	}{
		"graph":     {m.Graph != nil, m.Graph},
		"output":    {m.Output != nil, m.Output},
		"extension": {m.Extension != nil, m.Extension},
		"fit":       {m.Fit != nil, m.Fit},
		"encoder":   {m.Encoder != nil, m.Encoder},
	} {
		if !value.there {
			continue
		}
		text, err := json.Marshal(value.value)
		if err != nil {
			return fault.Invalid("%s: %w", key, err)
		}
		metadata[key] = string(text)
	}
	var arrays []safetensors.Array
	named := m.named()
	for _, name := range slices.Sorted(maps.Keys(named)) {
		t := named[name]
		dtype := t.DType
		if dtype == "" {
			dtype = F32
		}
		if dtype != F32 && (name == "ot.heights" || name == "ot.masses") {
			return fault.Invalid("%s: want F32, got %s", name, dtype)
		}
		arrays = append(arrays, safetensors.Array{Name: name, DType: dtype, Shape: t.Shape, Values: t.Data})
	}
	return safetensors.Write(w, metadata, arrays)
}

// createBeside makes a new file in path's directory, with the permissions that a new file gets
// there (os.CreateTemp would keep it from everyone else).
func createBeside(path string) (*os.File, error) {
	directory, base := filepath.Split(path)
	for attempt := 0; ; attempt++ {
		name := directory + "." + base + "." + strconv.FormatUint(rand.Uint64(), 36) + ".tmp"
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil || !os.IsExist(err) || attempt == 100 {
			return file, err
		}
	}
}
