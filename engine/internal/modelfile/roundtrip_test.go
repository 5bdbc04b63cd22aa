package modelfile

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	want := soundModel()
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got := file.Model()
	if !reflect.DeepEqual(got.named(), want.named()) {
		t.Errorf("tensors differ:\n got %v\nwant %v", got.named(), want.named())
	}
	if !reflect.DeepEqual(got.Extension, want.Extension) || !reflect.DeepEqual(got.Fit, want.Fit) ||
		!reflect.DeepEqual(got.Output, want.Output) || got.Source != want.Source {
		t.Errorf("metadata differ: %s", file.MetadataJSON())
	}

	// Written again, it is the same file, byte for byte.
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Encode(got)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the model read and written again differs from the first file")
	}
}
