// Package realdata reads codes and networks of real data, which lie beside the repository and not in
// it, for tests and benchmarks; they skip where there are none.
package realdata

import (
	"os"
	"path/filepath"
	"testing"

	"brenier/engine/internal/safetensors"
)

// Open opens a file by its name without folder and ending, until the test ends.
func Open(t testing.TB, name string) *safetensors.File {
	t.Helper()
	f, err := safetensors.Open(Path(t, filepath.Join("models", name+".safetensors")))
	if err != nil {
		t.Skipf("no real data beside the repository: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Path is where a file of the real data would be.
func Path(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(root(t), "..", "shared", name)
}

// root is the repository's folder, of which a test runs somewhere below.
func root(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		above := filepath.Dir(folder)
		if above == folder {
			t.Fatal("there is no go.mod in the test's folder or above")
		}
		folder = above
	}
}

// Values are those of a tensor, widened to float32.
func Values(t testing.TB, tensor *safetensors.Tensor) []float32 {
	t.Helper()
	values, err := tensor.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// Codes are n of a file's codes, evenly spaced, or all for 0: [n,d].
func Codes(t testing.TB, name string, n int) (points []float32, d int) {
	t.Helper()
	tensor := Open(t, name).Tensor("latents")
	values := Values(t, tensor)
	all, d := tensor.Shape[0], tensor.Shape[1]
	if n == 0 {
		return values, d
	}
	points = make([]float32, 0, n*d)
	for i := range n {
		row := i * (all / n)
		points = append(points, values[row*d:(row+1)*d]...)
	}
	return points, d
}
