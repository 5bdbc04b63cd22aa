package safetensors

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"brenier/engine/internal/fault"
)

// published is the example of the format's own documentation in its smallest form: one tensor of
// two values, written out by hand.
var published = []byte("\x40\x00\x00\x00\x00\x00\x00\x00" +
	`{"test":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}     ` +
	"\x00\x00\x80\x3f\x00\x00\x00\xc0")

func TestParse_reads_a_file_written_by_hand(t *testing.T) {
	f, err := Parse(published)
	if err != nil {
		t.Fatal(err)
	}
	tensor := f.Tensor("test")
	if tensor == nil || len(f.Tensors) != 1 || f.Tensor("other") != nil {
		t.Fatalf("tensors: %v", f.Tensors)
	}
	values, err := tensor.Float32s()
	if err != nil || !slices.Equal(values, []float32{1, -2}) || !slices.Equal(tensor.Shape, []int{1, 2}) {
		t.Errorf("got %v %v, %v", tensor.Shape, values, err)
	}
}

// Every value of the two half-width dtypes, widened, against their definitions.
func TestFloat32s_halves(t *testing.T) {
	data := make([]byte, 0, 2<<16)
	for u := range 1 << 16 {
		data = append(data, byte(u), byte(u>>8))
	}
	f16, err := (&Tensor{DType: F16, Shape: []int{1 << 16}, Data: data}).Float32s()
	if err != nil {
		t.Fatal(err)
	}
	bf16, err := (&Tensor{DType: BF16, Shape: []int{1 << 16}, Data: data}).Float32s()
	if err != nil {
		t.Fatal(err)
	}
	for u := range 1 << 16 {
		for _, c := range []struct {
			dtype              DType
			got                float32
			mantissa, exponent int
		}{{F16, f16[u], 10, 5}, {BF16, bf16[u], 7, 8}} {
			want := minifloat(u, c.mantissa, c.exponent)
			if float64(c.got) != want && !(math.IsNaN(want) && c.got != c.got) {
				t.Fatalf("%s %#04x: got %g, want %g", c.dtype, u, c.got, want)
			}
		}
	}
}

// minifloat is IEEE 754's value of a number with the given field widths.
func minifloat(u, mantissa, exponent int) float64 {
	fraction := u & (1<<mantissa - 1)
	biased := u >> mantissa & (1<<exponent - 1)
	bias := 1<<(exponent-1) - 1
	sign := float64(1 - 2*(u>>15))
	switch {
	case biased == 1<<exponent-1 && fraction != 0:
		return math.NaN()
	case biased == 1<<exponent-1:
		return sign * math.Inf(1)
	case biased == 0:
		return sign * math.Ldexp(float64(fraction), 1-bias-mantissa)
	}
	return sign * math.Ldexp(float64(fraction+1<<mantissa), biased-bias-mantissa)
}

// Writing rounds to the nearest value of the dtype, to the even one of two; checked against a
// search over all of its values.
func TestWrite_rounds_to_nearest_even(t *testing.T) {
	for _, c := range []struct {
		dtype              DType
		mantissa, exponent int
	}{{F16, 10, 5}, {BF16, 7, 8}} {
		var finite []float64 // non-negative, ascending; the index is the bits
		for u := 0; u < 1<<15; u++ {
			if v := minifloat(u, c.mantissa, c.exponent); !math.IsInf(v, 0) && !math.IsNaN(v) {
				finite = append(finite, v)
			}
		}
		r := rand.New(rand.NewPCG(3, 4))
		var values []float32
		for i, v := range finite[:len(finite)-1] {
			middle := (v + finite[i+1]) / 2
			values = append(values, float32(v), float32(middle), math.Nextafter32(float32(middle), 0), -math.Nextafter32(float32(middle), 1e38))
			values = append(values, float32(v+(finite[i+1]-v)*r.Float64()))
		}
		var file bytes.Buffer
		if err := Write(&file, nil, []Array{{"a", c.dtype, []int{len(values)}, values}}); err != nil {
			t.Fatal(err)
		}
		f, err := Parse(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Tensor("a").Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			magnitude := math.Abs(float64(v))
			above, exact := slices.BinarySearch(finite, magnitude)
			want := above
			if !exact {
				below, up := magnitude-finite[above-1], finite[above]-magnitude
				if below < up || below == up && above%2 == 1 {
					want = above - 1
				}
			}
			if float64(got[i]) != math.Copysign(finite[want], float64(v)) {
				t.Fatalf("%s: %g became %g, want %g", c.dtype, v, got[i], finite[want])
			}
		}
	}
}

func TestWrite_refuses_what_a_dtype_cannot_hold(t *testing.T) {
	for _, c := range []struct {
		dtype DType
		value float32
		fits  bool
	}{
		{F16, 65519.996, true}, {F16, 65520, false}, {F16, -65520, false},
		{BF16, 3.3961773e38, true}, {BF16, 3.3961775e38, false},
		{F32, math.MaxFloat32, true}, {F32, float32(math.Inf(-1)), false}, {F32, float32(math.NaN()), false},
	} {
		var file bytes.Buffer
		err := Write(&file, nil, []Array{{"a.b", c.dtype, []int{2}, []float32{0, c.value}}})
		if c.fits {
			if err != nil {
				t.Errorf("%s %g: %v", c.dtype, c.value, err)
				continue
			}
			f, err := Parse(file.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if values, _ := f.Tensor("a.b").Float32s(); math.IsInf(float64(values[1]), 0) {
				t.Errorf("%s %g became infinite", c.dtype, c.value)
			}
		} else if !errors.Is(err, fault.ErrInvalidArgument) || !strings.HasPrefix(err.Error(), "a.b: element 1 is ") {
			t.Errorf("%s %g: got %v", c.dtype, c.value, err)
		}
	}
}

// Any arrays: the same bytes in whatever order they come, data on 64 bytes, elements aligned to
// their size, and everything reads back.
func TestWrite_is_deterministic_and_aligned(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var arrays []Array
		for i := range r.IntN(8) {
			a := Array{Name: strings.Repeat("x", r.IntN(40)) + string(rune('a'+i)), DType: []DType{F32, F16, BF16}[r.IntN(3)]}
			n := 1
			for range r.IntN(4) {
				a.Shape = append(a.Shape, r.IntN(4))
				n *= a.Shape[len(a.Shape)-1]
			}
			for range n {
				a.Values = append(a.Values, float32(r.IntN(200)-100)/8)
			}
			arrays = append(arrays, a)
		}
		metadata := map[string]string{"a": "\"<é>\n", "b": ""}
		var first, second bytes.Buffer
		if err := Write(&first, metadata, arrays); err != nil {
			t.Fatal(err)
		}
		r.Shuffle(len(arrays), func(i, j int) { arrays[i], arrays[j] = arrays[j], arrays[i] })
		if err := Write(&second, metadata, arrays); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatal("the order of the arrays changes the file")
		}
		f, err := Parse(first.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Tensors) != len(arrays) || len(f.Metadata) != 2 || f.Metadata["a"] != metadata["a"] {
			t.Fatalf("%d tensors, metadata %q", len(f.Tensors), f.Metadata)
		}
		at := len(first.Bytes())
		for _, tensor := range f.Tensors {
			at -= len(tensor.Data)
		}
		if at%64 != 0 {
			t.Fatalf("data starts at %d", at)
		}
		for _, tensor := range f.Tensors {
			if at%int(bits[tensor.DType]/8) != 0 {
				t.Fatalf("%s %s starts at %d", tensor.Name, tensor.DType, at)
			}
			at += len(tensor.Data)
		}
		for _, a := range arrays {
			got, err := f.Tensor(a.Name).Float32s()
			if err != nil || !slices.Equal(got, a.Values) || !slices.Equal(f.Shapes()[a.Name], append([]int{}, a.Shape...)) {
				t.Fatalf("%s: got %v, want %v (%v)", a.Name, got, a.Values, err)
			}
		}
	}
}

func TestWrite_refuses_unsound_arrays(t *testing.T) {
	one := []float32{1}
	for want, arrays := range map[string][]Array{
		`a: shape [2] does not hold 1 values`:                                     {{"a", F32, []int{2}, one}},
		`a: want every tensor's name once, in 1 to 512 bytes of UTF-8`:            {{"a", F32, []int{1}, one}, {"a", F16, []int{1}, one}},
		`: want every tensor's name once, in 1 to 512 bytes of UTF-8`:             {{"", F32, []int{1}, one}},
		`__metadata__: want every tensor's name once, in 1 to 512 bytes of UTF-8`: {{"__metadata__", F32, []int{1}, one}},
		`a: want dtype F32, F16 or BF16, got "F64"`:                               {{"a", F64, []int{1}, one}},
	} {
		if err := Write(&bytes.Buffer{}, nil, arrays); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestWrite_reports_a_failing_writer(t *testing.T) {
	err := Write(failing{}, nil, []Array{{"a", F32, []int{1}, []float32{1}}})
	if !errors.Is(err, fault.ErrIO) || !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestOpen_close(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	if err := os.WriteFile(path, published, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.Tensor("test").Data, published[len(published)-8:]) {
		t.Error("data differs")
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if f.Tensor("test").Data != nil {
		t.Error("data is there after Close")
	}
}

// Files that PyTorch wrote, where the trained networks lie beside the repository: every tensor is
// there in full, and the floating-point ones are finite.
func TestOpen_trained_networks(t *testing.T) {
	paths, err := filepath.Glob("../../../../shared/models/*.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skip("the trained networks are not here")
	}
	for _, path := range paths {
		f, err := Open(path)
		if err != nil {
			t.Error(err)
			continue
		}
		for i := range f.Tensors {
			values, err := f.Tensors[i].Float32s()
			if err != nil && f.Tensors[i].DType != "I64" {
				t.Errorf("%s: %v", path, err)
			}
			for k, v := range values {
				if v-v != 0 {
					t.Fatalf("%s: %s: element %d is %g", path, f.Tensors[i].Name, k, v)
				}
			}
		}
		if len(f.Tensors) == 0 {
			t.Errorf("%s: no tensors", path)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A named pipe must not make Open wait for a writer.
func TestOpen_refuses_what_is_not_a_file(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := exec.Command("mkfifo", path).Run(); err != nil {
		t.Skipf("no mkfifo here: %v", err)
	}
	if _, err := Open(path); !errors.Is(err, fault.ErrIO) || err.Error() != path+": cannot be read: it is not a regular file" {
		t.Errorf("got %v", err)
	}
}

// FuzzParse: whatever the bytes, Parse returns, and the tensors it gives lie within the file,
// one after the other, to its end.
func FuzzParse(f *testing.F) {
	f.Add(published)
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		total := 0
		for i := range file.Tensors {
			tensor := &file.Tensors[i]
			total += len(tensor.Data)
			if int64(tensor.Len())*bits[tensor.DType] != int64(len(tensor.Data))*8 {
				t.Fatalf("%s: %s %v in %d bytes", tensor.Name, tensor.DType, tensor.Shape, len(tensor.Data))
			}
			if file.Tensor(tensor.Name) != tensor {
				t.Fatalf("%s is not found", tensor.Name)
			}
			if values, err := tensor.Float32s(); err == nil && len(values) != tensor.Len() {
				t.Fatalf("%s: %d values", tensor.Name, len(values))
			}
		}
		if total > len(data)-10 {
			t.Fatalf("%d bytes of tensors in a file of %d", total, len(data))
		}
	})
}
