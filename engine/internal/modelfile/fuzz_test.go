package modelfile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"
)

// FuzzParse: whatever the bytes, Parse returns; what it accepts can be written, and reads back
// the same.
func FuzzParse(f *testing.F) {
	sound := soundBytes(f)
	f.Add(sound)
	mapOnly, decoderOnly := *soundModel(), *soundModel()
	mapOnly.Graph, mapOnly.Weights, mapOnly.Output, mapOnly.Mean, mapOnly.Deviation = nil, nil, nil, nil, nil
	mapOnly.Encoder, mapOnly.EncoderWeights = nil, nil
	decoderOnly.Points, decoderOnly.Heights, decoderOnly.Masses, decoderOnly.Centroids = nil, nil, nil, nil
	decoderOnly.Extension, decoderOnly.Fit = nil, nil
	for _, m := range []*Model{&mapOnly, &decoderOnly} {
		data, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(withHeader([]byte(`{"ot.points":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"ot.heights":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"__metadata__":{"format":"brenier","version":"1","source":"uniform"}}`), make([]byte, 8)))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkParse(t, data)
		// A mutation of the header seldom agrees with its length: try it with the right one too.
		if len(data) > 8 {
			if n := bytes.LastIndexByte(data, '}') - 7; n > 0 {
				repaired := bytes.Clone(data)
				binary.LittleEndian.PutUint64(repaired, uint64(n))
				checkParse(t, repaired)
			}
		}
	})
}

func checkParse(t *testing.T, data []byte) {
	file, err := Parse(data)
	if err != nil {
		return
	}
	first, err := Encode(file.Model())
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	again, err := Parse(first)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	second, err := Encode(again.Model())
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("written twice, it differs (%v)", err)
	}
	for name, want := range file.Model().named() {
		got := again.Model().named()[name]
		for i, v := range want.Data {
			if math.Float32bits(v) != math.Float32bits(got.Data[i]) {
				t.Fatalf("%s: element %d was %g and reads back as %g", name, i, v, got.Data[i])
			}
		}
	}
	if !json.Valid([]byte(file.MetadataJSON())) {
		t.Fatalf("metadata: %s", file.MetadataJSON())
	}
	if p := file.Parts(); p.Dim < 1 || p.Dim > maxDim || len(p.Points) != len(p.Heights)*p.Dim {
		t.Fatalf("parts: d %d, %d point values, %d heights", p.Dim, len(p.Points), len(p.Heights))
	}
}
