package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// What numpy.save writes for numpy.array([[1.5, -2], [0, 65504]], dtype), NumPy 2.
func numpyFile(descr, data string) string {
	header := "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (2, 2), }"
	return "\x93NUMPY\x01\x00v\x00" + header + strings.Repeat(" ", 'v'-1-len(header)) + "\n" + data
}

func TestReadNpy(t *testing.T) {
	want := []float32{1.5, -2, 0, 65504}
	for descr, data := range map[string]string{
		"<f2": "\x00\x3e\x00\xc0\x00\x00\xff\x7b",
		"<f4": "\x00\x00\xc0\x3f\x00\x00\x00\xc0\x00\x00\x00\x00\x00\xe0\x7f\x47",
		"<f8": "\x00\x00\x00\x00\x00\x00\xf8\x3f\x00\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xfc\xef\x40",
	} {
		file := numpyFile(descr, data)
		if (len(file)-len(data))%64 != 0 {
			t.Fatalf("%s: the test's header is %d bytes", descr, len(file)-len(data))
		}
		values, shape, kind, err := readNpy(strings.NewReader(file))
		if err != nil || kind != descr[1:] || !slices.Equal(shape, []int{2, 2}) || !slices.Equal(values, want) {
			t.Errorf("%s: %v %v %v", descr, values, shape, err)
		}
	}
}

func TestReadNpyFaults(t *testing.T) {
	good := numpyFile("<f4", strings.Repeat("\x00", 16))
	for name, c := range map[string]struct{ file, says string }{
		"empty":             {"", "not a .npy file"},
		"other_magic":       {"PNG" + good[3:], "not a .npy file"},
		"cut_header":        {good[:40], "the header is cut off"},
		"cut_data":          {good[:len(good)-1], "the data ends before the 4 values"},
		"no_shape":          {strings.Replace(good, "shape", "forms", 1), "lacks descr"},
		"fortran":           {strings.Replace(good, "False", "True ", 1), "Fortran order"},
		"big_endian":        {strings.Replace(good, "<f4", ">f4", 1), `dtype ">f4"`},
		"complex":           {strings.Replace(good, "<f4", "<c8", 1), `dtype "<c8"`},
		"huge_shape":        {strings.Replace(good, "(2, 2), }     ", "(2, 99999999)}", 1), "the data ends"},
		"overflowing_shape": {strings.Replace(good, "(2, 2), }                         ", "(99999999999, 99999999999, 9999), }", 1), "too large"},
		"longer_header":     {"\x93NUMPY\x02\x00\xff\xff\xff\xff" + good[10:], "a header of 4294967295 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, _, err := readNpy(strings.NewReader(c.file)); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

func TestWriteNpyHeader(t *testing.T) {
	for _, shape := range [][]int{{}, {3}, {2, 3}, {10000, 3, 512, 512}} {
		var file bytes.Buffer
		if err := writeNpyHeader(&file, "<f4", shape); err != nil {
			t.Fatal(err)
		}
		if file.Len()%64 != 0 {
			t.Errorf("shape %v: the data would begin at %d", shape, file.Len())
		}
		descr, got, err := readNpyHeader(&file)
		if err != nil || descr != "<f4" || !slices.Equal(got, shape) {
			t.Errorf("shape %v: %q %v %v", shape, descr, got, err)
		}
	}
}
