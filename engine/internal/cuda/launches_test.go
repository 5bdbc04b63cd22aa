//go:build cuda

package cuda

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/double"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/cuda/workload"
	"brenier/engine/internal/rotated"
)

var update = flag.Bool("update", false, "write bench/sass/launches.json instead of comparing with it")

// launchesFile has the launches of every benchmark on an H100, from which bench/sass predicts times.
const launchesFile = "../../../bench/sass/launches.json"

// What every benchmark would launch on an H100 is what bench/sass predicts the time of. Nothing is run.
func TestLaunches(t *testing.T) {
	newTestDevice(t)
	if !double.Present() {
		t.Skip("a card is what it is; the launches are those of the double that plays an H100")
	}
	for _, option := range [][2]string{{"capability", "90"}, {"multiprocessors", "132"}, {"memory", "80000000000"}} {
		if err := double.Configure(option[0], option[1]); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { double.Configure(option[0], "") })
	}
	v := newTestDevice(t)
	launches := map[string][]workload.Launch{}
	for _, c := range benchLocate {
		launches["Locate/"+c.String()] = listed(t, func(q *driver.Stream) error {
			return locateUnmade(t, v, c.n, c.d).launch(q, &locateScratch{piece: c.batch, plain: &locatePlainScratch{}}, 0, 0, c.batch, c.k, 0, 0)
		})
	}
	for _, c := range benchRotated {
		launches["Rotated/"+c.String()] = listed(t, func(q *driver.Stream) error {
			s, err := newRotatedStage(v, &transport{v: v, n: c.n, d: c.d}, rotated.GroupFor(c.n, c.d), rotatedScreened)
			if err != nil {
				return err
			}
			var p plan
			return s.groups(q, s.newScratch(&p), 0, c.k)
		})
	}
	for name, parts := range benchModels(t) {
		d, err := newDecoder(v, f16, parts.Decoder, parts.Tensors)
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		decode := func(q *driver.Stream, batch int, input driver.Address, dtype backend.DType) error {
			var p plan
			return d.launchInput(q, d.newScratch(&p, batch), 0, codesAt(0), input, batch, target{address: 1 << 20, dtype: dtype, high: 1})
		}
		for _, batch := range benchDecode {
			launches[fmt.Sprintf("Decode/%s/%d", name, batch)] = listed(t, func(q *driver.Stream) error {
				return decode(q, batch, 0, backend.F16)
			})
		}
		n := len(parts.Heights)
		locate := locateUnmade(t, v, n, parts.Dim)
		noise, err := newNoise(v, parts.Source, parts.Dim)
		if err != nil {
			t.Fatal(err)
		}
		extend, err := newExtend(v, locate.t)
		if err != nil {
			t.Fatal(err)
		}
		few, err := newFewMap(locate, extend)
		if err != nil {
			t.Fatal(err)
		}
		e := backend.Extension{Mode: backend.Simplex, K: benchNeighbours}
		for _, batch := range benchGenerate {
			launches[fmt.Sprintf("Generate/%s/%d", name, batch)] = listed(t, func(q *driver.Stream) error {
				if err := noise.launch(q, 0, batch, 1, 0); err != nil {
					return err
				}
				scratch := &locateScratch{piece: locate.pieceRows(batch, e.K), plain: &locatePlainScratch{}}
				in := d.input
				in.address = 1 << 20
				var err error
				if few.serves(batch) {
					err = few.launch(q, scratch, 0, 0, batch, e, 0, 0, 0, in)
				} else if err = locate.launch(q, scratch, 0, 0, batch, e.K, 0, 0); err == nil {
					err = extend.launch(q, 0, 0, batch, e, 0, in)
				}
				if err != nil {
					return err
				}
				return decode(q, batch, in.address, backend.U8)
			})
		}
	}

	var text bytes.Buffer
	text.WriteString("{\n")
	for i, name := range slices.Sorted(maps.Keys(launches)) { // a line for each launch, so that a change shows as one
		if i > 0 {
			text.WriteString(",\n")
		}
		fmt.Fprintf(&text, "%q: [", name)
		for k, launch := range launches[name] {
			line, err := json.Marshal(launch)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&text, "%s\n%s", map[bool]string{true: ","}[k > 0], line)
		}
		text.WriteString("]")
	}
	text.WriteString("\n}\n")
	if *update {
		if err := os.WriteFile(launchesFile, text.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(launchesFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text.Bytes(), want) {
		t.Errorf("the launches are not those of %s; where the change is meant, write it anew with -update", launchesFile)
	}
}

// listed are the launches of f, those that are alike as one.
func listed(t *testing.T, f func(q *driver.Stream) error) (list []workload.Launch) {
	t.Helper()
	q := driver.NewListing(func(f *driver.Function, grid, block driver.Dim, shared int, params unsafe.Pointer) {
		made := workload.Of(f, grid, block, shared, params)
		for i := range list {
			made.Times = list[i].Times
			if reflect.DeepEqual(made, list[i]) {
				list[i].Times++
				return
			}
		}
		made.Times = 1
		list = append(list, made)
	})
	if err := f(q); err != nil {
		t.Fatal(err)
	}
	return list
}

// locateUnmade is the stage for a map of n cells that is nowhere: it can be asked what it would launch.
func locateUnmade(t *testing.T, v *device, n, d int) *locateStage {
	t.Helper()
	s := &locateStage{v: v, t: &transport{v: v, n: n, d: d, centroids: 1}, allow: rungs{few: true, wgmma: true, mma: true}}
	s.m = &packedMap{t: s.t, tiles: (n + 127) / 128, slices: (d + 63) / 64}
	var err error
	if s.plain, err = newLocatePlain(v, s.t); err != nil {
		t.Fatal(err)
	}
	if err := s.loadSteps(); err != nil {
		t.Fatal(err)
	}
	if err := s.choose(); err != nil {
		t.Fatal(err)
	}
	return s
}
