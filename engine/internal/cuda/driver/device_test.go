//go:build cuda

package driver

import (
	"errors"
	"math"
	"os"
	"slices"
	"testing"
	"unsafe"

	"gorgonia.org/cu"

	"brenier/kernels/cpu"
)

// newTestContext loads BRENIER_CUDA_DRIVER's double or the machine's driver and opens its first device; it
// skips where there is neither.
func newTestContext(t testing.TB) *Context {
	t.Helper()
	library := os.Getenv("BRENIER_CUDA_DRIVER")
	if err := Load(library); err != nil {
		if library == "" {
			t.Skip("no GPU: this machine has no CUDA driver, and BRENIER_CUDA_DRIVER does not name its double")
		}
		t.Fatal(err)
	}
	d, err := OpenDevice(0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// inside runs f in the context; it fails the test where f fails.
func inside(t testing.TB, c *Context, f func() error) {
	t.Helper()
	if err := c.Do(f); err != nil {
		t.Fatal(err)
	}
}

func TestDevice(t *testing.T) {
	newTestContext(t)
	d, err := OpenDevice(0)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name == "" || d.Major < 7 || d.Memory == 0 || d.Multiprocessors < 1 || d.L2Bytes < 1 || d.ClockKHz < 1 {
		t.Errorf("got %+v", d)
	}
	if d.SharedPerBlock < 48<<10 || d.SharedPerMultiprocessor < d.SharedPerBlock {
		t.Errorf("shared memory: got %d bytes a block of %d a multiprocessor", d.SharedPerBlock, d.SharedPerMultiprocessor)
	}
	if v := Version(); v < 12000 {
		t.Errorf("the driver's version: got %d", v)
	}
	count, err := DeviceCount()
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []int{-1, count} {
		var e *Error
		if _, err := OpenDevice(index); !errors.As(err, &e) || e.Name != "CUDA_ERROR_INVALID_DEVICE" {
			t.Errorf("device %d: want CUDA_ERROR_INVALID_DEVICE, got %v", index, err)
		}
	}
}

// current is the thread's context, as the driver has it.
func current(t testing.TB) cu.CUContext {
	t.Helper()
	c, err := cu.CurrentContext()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContext(t *testing.T) {
	c := newTestContext(t)
	sentence := errors.New("a sentence")

	t.Run("Do", func(t *testing.T) {
		err := c.Do(func() error {
			if current(t) != c.handle {
				t.Error("want the context to be current")
			}
			if err := c.Do(func() error { return nil }); err != nil {
				t.Error(err)
			}
			if current(t) != c.handle {
				t.Error("after a nested Do: want the context still to be current")
			}
			return sentence
		})
		if err != sentence {
			t.Errorf("want the function's own error, got %v", err)
		}
	})
	t.Run("Do leaves the thread as it was", func(t *testing.T) {
		none := cu.CUContext{}
		inside(t, c, func() error {
			if err := cu.SetCurrentContext(none); err != nil { // a thread that has none, under ours
				return err
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Error("want the panic to go on")
					}
				}()
				_ = c.Do(func() error { panic("on purpose") })
			}()
			if current(t) != none {
				t.Error("after a panic: want no context to be current")
			}
			return cu.SetCurrentContext(c.handle)
		})
	})
	t.Run("WrapContext", func(t *testing.T) {
		if _, err := WrapContext(0); err == nil {
			t.Error("NULL: want an error")
		}
		w, err := WrapContext(c.Handle())
		if err != nil {
			t.Fatal(err)
		}
		inside(t, w, func() error {
			if current(t) != c.handle || w.major != c.major || w.DeviceIndex() != c.DeviceIndex() {
				t.Errorf("want the same context, got %+v of %+v", w, c)
			}
			return nil
		})
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		inside(t, c, func() error { return nil }) // still alive
	})
	t.Run("Close twice", func(t *testing.T) {
		d, err := OpenDevice(0)
		if err != nil {
			t.Fatal(err)
		}
		other, err := d.NewContext()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := other.Close(); err != nil {
				t.Error(err)
			}
		}
		inside(t, c, func() error { return nil }) // the first holder's
	})
}

func TestMemory(t *testing.T) {
	c := newTestContext(t)
	inside(t, c, func() error {
		free, total, err := c.MemoryInfo()
		if err != nil || free == 0 || free > total {
			t.Errorf("memory: got %d free of %d, %v", free, total, err)
		}
		q, err := c.NewStream()
		if err != nil {
			return err
		}
		defer q.Destroy()
		const n = 1000
		a, err := c.Alloc(2 * n)
		if err != nil {
			return err
		}
		defer c.Free(a)
		pinned, err := c.AllocPinned(2 * n)
		if err != nil {
			return err
		}
		defer c.FreePinned(pinned)
		if a%256 != 0 {
			t.Errorf("want an address aligned to 256 bytes, got %#x", a)
		}

		host := unsafe.Slice((*byte)(pinned), 2*n)
		for i := range host {
			host[i] = byte(i * 7)
		}
		want := slices.Clone(host)
		copy(want[n:], want[:n])
		clear(want[100:200])
		// There and back: the second half becomes the first, and a piece of the first is cleared.
		for _, err := range []error{
			q.ToDevice(a, pinned, 2*n), q.OnDevice(a+n, a, n), q.Clear(a+100, 100),
			q.ToHost(pinned, a, 2*n), q.Synchronize(),
		} {
			if err != nil {
				return err
			}
		}
		if !slices.Equal(host, want) {
			t.Error("asynchronous copies: the bytes differ")
		}
		back := make([]byte, 2*n)
		if err := c.ToHost(unsafe.Pointer(&back[0]), a, 2*n); err != nil {
			return err
		}
		if !slices.Equal(back, want) {
			t.Error("ToHost: the bytes differ")
		}
		slices.Reverse(want)
		if err := c.ToDevice(a, unsafe.Pointer(&want[0]), 2*n); err != nil {
			return err
		}
		if err := c.ToHost(unsafe.Pointer(&back[0]), a, 2*n); err != nil {
			return err
		}
		if !slices.Equal(back, want) {
			t.Error("ToDevice: the bytes differ")
		}
		if err := c.Free(0); err != nil {
			t.Errorf("Free of none: %v", err)
		}
		if _, err := c.Alloc(math.MaxInt64 >> 8); !IsOutOfMemory(err) {
			t.Errorf("2^55 bytes: want out of memory, got %v", err)
		}
		return nil
	})
}

func TestEvent(t *testing.T) {
	c := newTestContext(t)
	inside(t, c, func() error {
		q, err := c.NewStream()
		if err != nil {
			return err
		}
		defer q.Destroy()
		var events [2]*Event
		for i := range events {
			if events[i], err = c.NewEvent(true); err != nil {
				return err
			}
			defer events[i].Destroy()
			if err := q.Record(events[i]); err != nil {
				return err
			}
		}
		if err := q.Wait(events[0]); err != nil {
			return err
		}
		if err := events[1].Synchronize(); err != nil {
			return err
		}
		if ms, err := Elapsed(events[0], events[1]); err != nil || ms < 0 {
			t.Errorf("elapsed: got %v ms, %v", ms, err)
		}
		untimed, err := c.NewEvent(false)
		if err != nil {
			return err
		}
		defer untimed.Destroy()
		if err := q.Record(untimed); err != nil {
			return err
		}
		if _, err := Elapsed(events[0], untimed); err == nil {
			t.Error("an event that keeps no time: want an error")
		}
		return nil
	})
}

// noiseParams is brenier_noise_params of kernels/cuda/noise.h, since a test cannot read C.
type noiseParams struct {
	x            Address
	seed, first  uint64
	n, d, stream uint32
}

// noise launches the uniform noise of a seed for 100 samples of 6 dimensions by way of launch, and what
// the CPU makes of the same.
type noise struct {
	params noiseParams
	f      *Function
	m      *Module
}

const noiseSamples, noiseDimensions, noiseThreads = 100, 6, 128

// newNoise loads the kernel and its memory. Runs in the context; close gives both back.
func newNoise(c *Context, seed uint64) (*noise, error) {
	i := slices.IndexFunc(Images(), func(i Image) bool { return i.Name == "noise" })
	m, err := c.LoadModule(Images()[i])
	if err != nil {
		return nil, err
	}
	f, err := m.Function("brenier_cuda_noise_uniform")
	if err != nil {
		return nil, err
	}
	a, err := c.Alloc(noiseSamples * noiseDimensions * 4)
	if err != nil {
		return nil, err
	}
	return &noise{params: noiseParams{x: a, seed: seed, n: noiseSamples, d: noiseDimensions}, f: f, m: m}, nil
}

func (v *noise) grid() (grid, block Dim) {
	blocks := noiseSamples * ((noiseDimensions + 3) / 4)
	return Dim{X: (blocks + noiseThreads - 1) / noiseThreads}, Dim{X: noiseThreads}
}

func (v *noise) close(c *Context) error {
	return errors.Join(c.Free(v.params.x), v.m.Unload())
}

// right tells whether the memory holds the noise of the seed, bit for bit that of the CPU.
func (v *noise) right(c *Context, seed uint64) (bool, error) {
	want := make([]float32, noiseSamples*noiseDimensions)
	cpu.Noise(cpu.Portable, cpu.Uniform, want, noiseDimensions, seed, 0, 0)
	got := make([]float32, len(want))
	err := c.ToHost(unsafe.Pointer(&got[0]), v.params.x, 4*len(got))
	return slices.Equal(got, want), err
}

func TestModule(t *testing.T) {
	c := newTestContext(t)
	names := map[string]bool{}
	for _, i := range Images() {
		if names[i.Name] || i.Bytes == 0 || uintptr(i.data)%64 != 0 {
			t.Errorf("image %+v: want a name of its own, and bytes aligned to 64", i)
		}
		names[i.Name] = true
		const label = 64 // BRENIER_IMAGE_LABEL_BYTES
		want := append([]byte("BRENIER image "+i.Name), make([]byte, label)...)[:label]
		if got := unsafe.Slice((*byte)(unsafe.Add(i.data, -label)), label); !slices.Equal(got, want) {
			t.Errorf("image %s: labelled %q", i.Name, got)
		}
	}
	if !names["noise"] {
		t.Fatal("want an image of noise.cu")
	}
	inside(t, c, func() error {
		if _, err := c.LoadModule(Image{Name: "none"}); err == nil {
			t.Error("an image of none: want an error")
		}
		v, err := newNoise(c, 1)
		if err != nil {
			return err
		}
		defer v.close(c)
		if f := v.f; f.Name != "brenier_cuda_noise_uniform" || f.MaxThreads < noiseThreads || f.Registers < 1 || f.LocalBytes != 0 {
			t.Errorf("got %+v", f)
		}
		var e *Error
		if _, err := v.m.Function("no_such_kernel"); !errors.As(err, &e) || e.Name != "CUDA_ERROR_NOT_FOUND" || e.Call != "cuModuleGetFunction" {
			t.Errorf("want CUDA_ERROR_NOT_FOUND of cuModuleGetFunction, got %v", err)
		}
		if blocks, err := v.f.BlocksPerMultiprocessor(noiseThreads, 0); err != nil || blocks < 1 {
			t.Errorf("occupancy: got %d, %v", blocks, err)
		}
		return v.f.SetDynamicShared(1 << 10)
	})
}

func TestLaunch(t *testing.T) {
	c := newTestContext(t)
	launches := map[string]func(*Stream, *Function, Dim, Dim, int, unsafe.Pointer) error{
		"Launch": (*Stream).Launch, "LaunchDependent": (*Stream).LaunchDependent,
	}
	for name, launch := range launches {
		t.Run(name, func(t *testing.T) {
			inside(t, c, func() error {
				v, err := newNoise(c, 5)
				if err != nil {
					return err
				}
				defer v.close(c)
				q, err := c.NewStream()
				if err != nil {
					return err
				}
				defer q.Destroy()
				grid, block := v.grid()
				if err := launch(q, v.f, grid, block, 0, unsafe.Pointer(&v.params)); err != nil {
					return err
				}
				if err := q.Synchronize(); err != nil {
					return err
				}
				ok, err := v.right(c, 5)
				if !ok {
					t.Error("the noise differs from the CPU's")
				}
				return err
			})
		})
	}
	t.Run("too many threads", func(t *testing.T) {
		inside(t, c, func() error {
			v, err := newNoise(c, 5)
			if err != nil {
				return err
			}
			defer v.close(c)
			var e *Error
			err = WrapStream(0).Launch(v.f, Dim{X: 1}, Dim{X: 4096}, 0, unsafe.Pointer(&v.params))
			if !errors.As(err, &e) || e.Call != "cuLaunchKernel" || IsLost(err) {
				t.Errorf("want an error of cuLaunchKernel, got %v", err)
			}
			return nil
		})
	})
}

func TestGraph(t *testing.T) {
	c := newTestContext(t)
	inside(t, c, func() error {
		first, err := newNoise(c, 7)
		if err != nil {
			return err
		}
		defer first.close(c)
		second, err := newNoise(c, 8)
		if err != nil {
			return err
		}
		defer second.close(c)
		q, err := c.NewStream()
		if err != nil {
			return err
		}
		defer q.Destroy()

		grid, block := first.grid()
		if err := q.BeginCapture(); err != nil {
			return err
		}
		for _, err := range []error{
			q.Clear(first.params.x, 4),
			q.Launch(first.f, grid, block, 0, unsafe.Pointer(&first.params)),
			q.LaunchDependent(second.f, grid, block, 0, unsafe.Pointer(&second.params)),
		} {
			if err != nil {
				return err
			}
		}
		g, err := q.EndCapture()
		if err != nil {
			return err
		}
		defer g.Destroy()
		nodes, err := g.Kernels()
		if err != nil {
			return err
		}
		if len(nodes) != 2 || !nodes[0].Runs(first.f) || !nodes[1].Runs(second.f) {
			t.Fatalf("want the two kernels in the order of their launches, got %+v", nodes)
		}
		x, err := g.Instantiate()
		if err != nil {
			return err
		}
		defer x.Destroy()
		// Once as captured, then with another seed for the second kernel.
		for _, seed := range []uint64{8, 9} {
			second.params.seed = seed
			if err := x.SetKernel(nodes[1], second.f, grid, block, 0, unsafe.Pointer(&second.params)); err != nil {
				return err
			}
			if err := x.Launch(q); err != nil {
				return err
			}
			if err := q.Synchronize(); err != nil {
				return err
			}
			for v, seed := range map[*noise]uint64{first: 7, second: seed} {
				ok, err := v.right(c, seed)
				if err != nil {
					return err
				}
				if !ok {
					t.Errorf("seed %d: the noise differs from the CPU's", seed)
				}
			}
		}
		return nil
	})
}

// What happens for every call of the engine allocates nothing in Go.
func TestAllocations(t *testing.T) {
	c := newTestContext(t)
	inside(t, c, func() error {
		v, err := newNoise(c, 1)
		if err != nil {
			return err
		}
		defer v.close(c)
		q, err := c.NewStream()
		if err != nil {
			return err
		}
		defer q.Destroy()
		pinned, err := c.AllocPinned(4)
		if err != nil {
			return err
		}
		defer c.FreePinned(pinned)
		e, err := c.NewEvent(false)
		if err != nil {
			return err
		}
		defer e.Destroy()
		grid, block := v.grid()
		if err := q.BeginCapture(); err != nil {
			return err
		}
		if err := q.Launch(v.f, grid, block, 0, unsafe.Pointer(&v.params)); err != nil {
			return err
		}
		g, err := q.EndCapture()
		if err != nil {
			return err
		}
		defer g.Destroy()
		nodes, err := g.Kernels()
		if err != nil {
			return err
		}
		x, err := g.Instantiate()
		if err != nil {
			return err
		}
		defer x.Destroy()

		nothing := func() error { return nil }
		for name, call := range map[string]func() error{
			"Do":          func() error { return c.Do(nothing) },
			"ToDevice":    func() error { return q.ToDevice(v.params.x, pinned, 4) },
			"ToHost":      func() error { return q.ToHost(pinned, v.params.x, 4) },
			"OnDevice":    func() error { return q.OnDevice(v.params.x+4, v.params.x, 4) },
			"Clear":       func() error { return q.Clear(v.params.x, 4) },
			"Record":      func() error { return q.Record(e) },
			"Wait":        func() error { return q.Wait(e) },
			"Synchronize": q.Synchronize,
			"Launch": func() error {
				params := v.params // on the stack
				return q.Launch(v.f, grid, block, 0, unsafe.Pointer(&params))
			},
			"LaunchDependent": func() error {
				params := v.params
				return q.LaunchDependent(v.f, grid, block, 0, unsafe.Pointer(&params))
			},
			"SetKernel": func() error {
				params := v.params
				return x.SetKernel(nodes[0], v.f, grid, block, 0, unsafe.Pointer(&params))
			},
			"graph": func() error { return x.Launch(q) },
		} {
			var failed error
			count := testing.AllocsPerRun(20, func() {
				if err := call(); err != nil {
					failed = err
				}
			})
			if count != 0 || failed != nil {
				t.Errorf("%s: want no allocation, got %v; %v", name, count, failed)
			}
		}
		return q.Synchronize()
	})
}
