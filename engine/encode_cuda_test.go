//go:build cuda

package engine

import (
	"slices"
	"testing"
)

// A GPU's codes are as near to float64 as its precision says, from images of any kind on the host or the
// device, by kernels that have answered their question.
func TestCUDAEncode(t *testing.T) {
	const n, d = 37, 19
	content := withEncoder(smallModel(60, d))
	images, want := encodings(t, content, n)
	for _, c := range []struct {
		precision string
		tolerance float64
	}{{"f16", 2e-3}, {"f32", 1e-5}} {
		t.Run(c.precision, func(t *testing.T) {
			e := newCUDA(t, Config{CUDA: CUDAConfig{Precision: c.precision}})
			m := openOn(t, e, content)
			kernels, notes := m.Kernels()
			if !slices.ContainsFunc(kernels, func(k Kernel) bool {
				return k == Kernel{Part: "encoder pixels", Name: "brenier_cuda_pixels_" + c.precision}
			}) || len(notes) > 0 {
				t.Errorf("kernels %v, notes %q; want the one that reads pixels, and no notes", kernels, notes)
			}
			for name, in := range images {
				t.Run(name, func(t *testing.T) {
					z := make([]float32, n*d)
					if err := m.Encode(in, z); err != nil {
						t.Fatal(err)
					}
					if in.DType == F16 {
						checkCodes(t, z, want, c.tolerance+1e-3)
						return
					}
					checkCodes(t, z, want, c.tolerance)
					for i := range n {
						one := in
						stride := len(in.Data) / n
						one.Data = in.Data[i*stride : (i+1)*stride]
						alone := make([]float32, d)
						if err := m.Encode(one, alone); err != nil {
							t.Fatal(err)
						}
						if err := equalBits(alone, z[i*d:(i+1)*d]); err != nil {
							t.Fatalf("image %d alone: %v", i, err)
						}
					}
				})
			}
		})
	}
}

// The encoder trained on the digits, with tensor cores and without.
func TestCUDAEncode_trained(t *testing.T) {
	const n = 3 // of the double's patience
	for precision, tolerance := range map[string]float64{"f16": 2e-3, "bf16": 1.6e-2} {
		t.Run(precision, func(t *testing.T) {
			m, images, _ := trainedDigits(t, newCUDA(t, Config{CUDA: CUDAConfig{Precision: precision}}), n)
			z := make([]float32, n*m.Info().Dimension)
			if err := m.Encode(Image{Data: images, DType: U8}, z); err != nil {
				t.Fatal(err)
			}
			checkCodes(t, z, encoded64(t, m, images), tolerance)
		})
	}
}
