//go:build cuda

package driver_test

import (
	"errors"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cuda/double"
	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/reference"
)

// CUresults that the tests order or expect.
const (
	invalidValue             = 1
	outOfMemory              = 2
	deviceUnavailable        = 46
	invalidDevice            = 101
	noBinaryForGPU           = 209
	illegalState             = 401
	notFound                 = 500
	illegalAddress           = 700
	misalignedAddress        = 716
	launchFailed             = 719
	streamCaptureUnsupported = 900
	streamCaptureInvalidated = 901
)

// openDouble loads the driver's double. It skips the test where BRENIER_CUDA_DRIVER names none.
func openDouble(t *testing.T) {
	t.Helper()
	path := os.Getenv("BRENIER_CUDA_DRIVER")
	if path == "" {
		t.Skip("BRENIER_CUDA_DRIVER names no double of the driver")
	}
	must(t, driver.Load(path))
	if !double.Present() {
		t.Skipf("%s is a driver, not its double", path)
	}
	t.Cleanup(func() {
		double.ClearFailures()
		double.RestoreDevice()
	})
}

// configure sets an option of the double until the test ends.
func configure(t *testing.T, name, value string) {
	t.Helper()
	openDouble(t)
	must(t, double.Configure(name, value))
	t.Cleanup(func() { must(t, double.Configure(name, "")) })
}

// noiseParams is brenier_noise_params of kernels/cuda/noise.h.
type noiseParams struct {
	x            driver.Address
	seed, first  uint64
	n, d, stream uint32
	_            uint32
}

const noiseThreads = 128

// bench is a context with a stream and a kernel to launch.
type bench struct {
	ctx     *driver.Context
	stream  *driver.Stream
	module  *driver.Module
	uniform *driver.Function
}

// onBench runs f inside of a context of the double, and checks that nothing is left behind it.
func onBench(t *testing.T, f func(b *bench)) {
	t.Helper()
	openDouble(t)
	if left := double.Objects(); left != (double.Counts{}) {
		t.Fatalf("left by an earlier test: %+v", left)
	}
	device, err := driver.OpenDevice(0)
	must(t, err)
	b := new(bench)
	b.ctx, err = device.NewContext()
	must(t, err)
	must(t, b.ctx.Do(func() error {
		b.stream, err = b.ctx.NewStream()
		must(t, err)
		b.module, err = b.ctx.LoadModule(image(t, "noise"))
		must(t, err)
		b.uniform, err = b.module.Function("brenier_cuda_noise_uniform")
		must(t, err)
		f(b)
		// A lost context answers every call with its error; closing it gives everything back.
		_ = b.stream.Destroy()
		_ = b.module.Unload()
		return nil
	}))
	must(t, b.ctx.Close())
	if left := double.Objects(); left != (double.Counts{}) {
		t.Errorf("left after the context was closed: %+v", left)
	}
}

func image(t *testing.T, name string) driver.Image {
	t.Helper()
	images := driver.Images()
	i := slices.IndexFunc(images, func(i driver.Image) bool { return i.Name == name })
	if i < 0 {
		t.Fatalf("no image named %s among %v", name, images)
	}
	return images[i]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode checks that err is a driver's error with the CUresult.
func wantCode(t *testing.T, what string, err error, code int) {
	t.Helper()
	var e *driver.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%s: got %v, want CUDA error %d", what, err, code)
	}
}

// alloc takes device memory that the test gives back before it ends.
func (b *bench) alloc(t *testing.T, bytes int) driver.Address {
	t.Helper()
	a, err := b.ctx.Alloc(bytes)
	must(t, err)
	return a
}

func (b *bench) free(t *testing.T, a driver.Address) {
	t.Helper()
	must(t, b.ctx.Free(a))
}

// noise launches the kernel for n samples of d dimensions.
func (b *bench) noise(x driver.Address, n, d int) error {
	p := noiseParams{x: x, seed: 7, n: uint32(n), d: uint32(d)}
	grid := (n*((d+3)/4) + noiseThreads - 1) / noiseThreads
	return b.stream.Launch(b.uniform, driver.Dim{X: grid}, driver.Dim{X: noiseThreads}, 0, unsafe.Pointer(&p))
}

func (b *bench) floats(t *testing.T, a driver.Address, n int) []float32 {
	t.Helper()
	values := make([]float32, n)
	must(t, b.ctx.ToHost(unsafe.Pointer(&values[0]), a, 4*n))
	return values
}

func wantNoise(t *testing.T, got []float32, d int) {
	t.Helper()
	want := make([]float32, len(got))
	reference.Noise(backend.Uniform, want, d, 7, 0, 0)
	if !slices.Equal(got, want) {
		t.Errorf("got %v..., want %v...", got[:4], want[:4])
	}
}

func TestDouble(t *testing.T) {
	const n, d = 100, 6

	t.Run("says what it is", func(t *testing.T) {
		configure(t, "capability", "86")
		configure(t, "multiprocessors", "28")
		device, err := driver.OpenDevice(0)
		must(t, err)
		if !device.Double || device.Name != "brenier double (host)" || device.Major != 8 || device.Minor != 6 ||
			device.Multiprocessors != 28 || device.SharedPerBlock != 99<<10 {
			t.Errorf("%+v", device)
		}
		_, err = driver.OpenDevice(1)
		wantCode(t, "a second device", err, invalidDevice)
	})

	for _, schedule := range []string{"late", "early", "random:1", "random:2", "random:3"} {
		t.Run("launches and copies/"+schedule, func(t *testing.T) {
			configure(t, "schedule", schedule)
			onBench(t, func(b *bench) {
				x, y := b.alloc(t, 4*n*d), b.alloc(t, 4*n*d)
				must(t, b.noise(x, n, d))
				must(t, b.stream.OnDevice(y, x, 4*n*d))
				must(t, b.stream.Clear(x, 4*n*d))
				must(t, b.stream.Synchronize())
				wantNoise(t, b.floats(t, y, n*d), d)
				if got := b.floats(t, x, n*d); got[0] != 0 || got[n*d-1] != 0 {
					t.Errorf("cleared memory holds %v", got)
				}
				b.free(t, x)
				b.free(t, y)
			})
		})
	}

	t.Run("work runs as late as it may", func(t *testing.T) {
		configure(t, "schedule", "late")
		onBench(t, func(b *bench) {
			x := b.alloc(t, 4*n*d)
			must(t, b.noise(x, n, d))
			if got := b.floats(t, x, 1)[0]; !math.IsNaN(float64(got)) {
				t.Errorf("before the stream was waited for: got %v, want the poison of new memory", got)
			}
			must(t, b.stream.Synchronize())
			wantNoise(t, b.floats(t, x, n*d), d)
			b.free(t, x)
		})
	})

	t.Run("parameters are copied at the launch", func(t *testing.T) {
		configure(t, "schedule", "late")
		onBench(t, func(b *bench) {
			x := b.alloc(t, 4*n*d)
			p := &noiseParams{x: x, seed: 7, n: n, d: d}
			must(t, b.stream.Launch(b.uniform, driver.Dim{X: 2}, driver.Dim{X: noiseThreads}, 0, unsafe.Pointer(p)))
			*p = noiseParams{}
			must(t, b.stream.Synchronize())
			wantNoise(t, b.floats(t, x, n*d), d)
			b.free(t, x)
		})
	})

	t.Run("pinned memory is written when the stream comes to it", func(t *testing.T) {
		configure(t, "schedule", "late")
		onBench(t, func(b *bench) {
			x := b.alloc(t, 4*n*d)
			p, err := b.ctx.AllocPinned(4 * n * d)
			must(t, err)
			host := unsafe.Slice((*float32)(p), n*d)
			must(t, b.noise(x, n, d))
			must(t, b.stream.ToHost(p, x, 4*n*d))
			if !math.IsNaN(float64(host[0])) {
				t.Errorf("before the stream was waited for: got %v, want the poison of new memory", host[0])
			}
			must(t, b.stream.Synchronize())
			wantNoise(t, host, d)
			must(t, b.ctx.FreePinned(p))
			b.free(t, x)
		})
	})

	t.Run("a stream waits for another's event", func(t *testing.T) {
		configure(t, "schedule", "late")
		onBench(t, func(b *bench) {
			other, err := b.ctx.NewStream()
			must(t, err)
			done, err := b.ctx.NewEvent(true)
			must(t, err)
			x, y := b.alloc(t, 4*n*d), b.alloc(t, 4*n*d)
			must(t, other.OnDevice(y, x, 4*n*d)) // not ordered: copies poison
			must(t, other.Synchronize())
			must(t, b.noise(x, n, d))
			must(t, b.stream.Record(done))
			must(t, other.Wait(done))
			must(t, other.OnDevice(y, x, 4*n*d))
			must(t, other.Synchronize())
			wantNoise(t, b.floats(t, y, n*d), d)
			must(t, done.Synchronize())
			if ms, err := driver.Elapsed(done, done); ms != 0 || err != nil {
				t.Errorf("an event and itself are %v ms apart, %v", ms, err)
			}
			b.free(t, x)
			b.free(t, y)
			must(t, done.Destroy())
			must(t, other.Destroy())
		})
	})

	t.Run("a captured graph runs with new parameters", func(t *testing.T) {
		onBench(t, func(b *bench) {
			x, y := b.alloc(t, 4*n*d), b.alloc(t, 4*n*d)
			must(t, b.stream.BeginCapture())
			must(t, b.noise(y, 1, d))
			must(t, b.stream.OnDevice(x, y, 4*d))
			graph, err := b.stream.EndCapture()
			must(t, err)
			nodes, err := graph.Kernels()
			must(t, err)
			if len(nodes) != 1 || !nodes[0].Runs(b.uniform) {
				t.Fatalf("kernels of the graph: %v", nodes)
			}
			executable, err := graph.Instantiate()
			must(t, err)
			p := noiseParams{x: y, seed: 7, n: n, d: d}
			must(t, executable.SetKernel(nodes[0], b.uniform, driver.Dim{X: 2}, driver.Dim{X: noiseThreads}, 0, unsafe.Pointer(&p)))
			must(t, executable.Launch(b.stream))
			p.n = 0 // the launch keeps what it was given
			must(t, b.stream.Synchronize())
			wantNoise(t, b.floats(t, y, n*d), d)
			wantNoise(t, b.floats(t, x, d), d)
			must(t, executable.Destroy())
			must(t, graph.Destroy())
			b.free(t, x)
			b.free(t, y)
		})
	})

	t.Run("a wait spoils a capture", func(t *testing.T) {
		onBench(t, func(b *bench) {
			must(t, b.stream.BeginCapture())
			wantCode(t, "synchronise while capturing", b.stream.Synchronize(), streamCaptureUnsupported)
			_, err := b.stream.EndCapture()
			wantCode(t, "end the capture", err, streamCaptureInvalidated)
			must(t, b.stream.BeginCapture())
			_, err = b.ctx.Alloc(1)
			wantCode(t, "allocate while capturing", err, streamCaptureUnsupported)
			_, err = b.stream.EndCapture()
			wantCode(t, "end the capture", err, streamCaptureInvalidated)
			_, err = b.stream.EndCapture()
			wantCode(t, "end it twice", err, illegalState)
		})
	})

	t.Run("memory has an end", func(t *testing.T) {
		configure(t, "memory", "1048576")
		onBench(t, func(b *bench) {
			a := b.alloc(t, 1<<20-256)
			_, err := b.ctx.Alloc(257)
			if !driver.IsOutOfMemory(err) {
				t.Errorf("257 bytes of 256: %v", err)
			}
			if free, total, err := b.ctx.MemoryInfo(); free != 256 || total != 1<<20 || err != nil {
				t.Errorf("free %d of %d, %v", free, total, err)
			}
			b.free(t, a)
			b.free(t, b.alloc(t, 1<<20))
		})
	})

	t.Run("modules are for cards", func(t *testing.T) {
		for _, c := range []struct {
			capability, module string
			runs               bool
		}{
			{"75", "noise", true}, {"75", "conv_mma", false}, {"80", "conv_mma", true}, {"120", "conv_mma", true},
			{"89", "locate_wgmma", false}, {"90", "locate_wgmma", true}, {"120", "locate_wgmma", false},
		} {
			configure(t, "capability", c.capability)
			onBench(t, func(b *bench) {
				m, err := b.ctx.LoadModule(image(t, c.module))
				if !c.runs {
					wantCode(t, c.module+" on "+c.capability, err, noBinaryForGPU)
					return
				}
				must(t, err)
				must(t, m.Unload())
			})
		}
	})

	t.Run("launches are checked", func(t *testing.T) {
		onBench(t, func(b *bench) {
			_, err := b.module.Function("brenier_cuda_no_such")
			wantCode(t, "an unknown kernel", err, notFound)
			x := b.alloc(t, 4)
			p := noiseParams{x: x, n: 1, d: 1}
			launch := func(block, shared int) error {
				return b.stream.Launch(b.uniform, driver.Dim{X: 1}, driver.Dim{X: block}, shared, unsafe.Pointer(&p))
			}
			wantCode(t, "more threads than the kernel allows", launch(noiseThreads+1, 0), invalidValue)
			wantCode(t, "48 KB of shared memory and a byte", launch(noiseThreads, 48<<10+1), invalidValue)
			must(t, b.uniform.SetDynamicShared(227<<10))
			wantCode(t, "more than a block can have", b.uniform.SetDynamicShared(227<<10+1), invalidValue)
			must(t, launch(noiseThreads, 227<<10))
			if blocks, err := b.uniform.BlocksPerMultiprocessor(noiseThreads, 100<<10); blocks != 2 || err != nil {
				t.Errorf("%d blocks of 100 KB on a multiprocessor, %v", blocks, err)
			}
			must(t, b.stream.Synchronize())
			b.free(t, x)
		})
	})
}

// What a card does not forgive loses the context; a new one works.
func TestLostContext(t *testing.T) {
	const n, d = 64, 8
	for name, c := range map[string]struct {
		code  int
		words string
		do    func(t *testing.T, b *bench) error
	}{
		"a write past the end": {illegalAddress, "past the end of a live allocation", func(t *testing.T, b *bench) error {
			return b.noise(b.alloc(t, 1024), n, d)
		}},
		"a write within the last 256 bytes": {illegalAddress, "wrote outside of an allocation", func(t *testing.T, b *bench) error {
			return b.noise(b.alloc(t, 4*n*d-1), n, d)
		}},
		"a write before the start": {illegalAddress, "wrote outside of an allocation", func(t *testing.T, b *bench) error {
			return b.noise(b.alloc(t, 4*n*d)-16, n, d)
		}},
		"freed memory": {illegalAddress, "of a freed allocation", func(t *testing.T, b *bench) error {
			x := b.alloc(t, 4*n*d)
			b.free(t, x)
			return b.noise(x, n, d)
		}},
		"no memory at all": {illegalAddress, "no allocation is near", func(t *testing.T, b *bench) error {
			return b.noise(0, n, d)
		}},
		"a misaligned vector": {misalignedAddress, "no multiple of 16", func(t *testing.T, b *bench) error {
			return b.noise(b.alloc(t, 4*n*d+64)+4, n, d)
		}},
		"a failure ordered": {launchFailed, "failed on order", func(t *testing.T, b *bench) error {
			double.Fail("cuStreamSynchronize", 1, launchFailed, true)
			return nil
		}},
		"a device that is gone": {deviceUnavailable, "device was lost", func(t *testing.T, b *bench) error {
			double.LoseDevice()
			double.RestoreDevice()
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			configure(t, "schedule", "late")
			onBench(t, func(b *bench) {
				good := b.alloc(t, 4*n*d)
				must(t, c.do(t, b))
				err := b.stream.Synchronize()
				wantCode(t, "the synchronisation", err, c.code)
				if !driver.IsLost(err) {
					t.Errorf("%v: want an error that tells of a lost context", err)
				}
				wantCode(t, "a later launch", b.noise(good, n, d), c.code)
				_, err = b.ctx.Alloc(4)
				wantCode(t, "a later allocation", err, c.code)
				if said := double.LastMessage(); !strings.Contains(said, c.words) {
					t.Errorf("the double said %q; want something of %q", said, c.words)
				}
			})
			onBench(t, func(b *bench) {
				x := b.alloc(t, 4*n*d)
				must(t, b.noise(x, n, d))
				must(t, b.stream.Synchronize())
				wantNoise(t, b.floats(t, x, n*d), d)
				b.free(t, x)
			})
		})
	}
}

// The double catches the faults of kernels by signals; those of Go stay Go's.
func TestGoKeepsItsPanics(t *testing.T) {
	onBench(t, func(b *bench) {
		x := b.alloc(t, 4)
		must(t, b.noise(x, 1, 1))
		must(t, b.stream.Synchronize())
		b.free(t, x)
		defer func() {
			if err, ok := recover().(runtime.Error); !ok || !strings.Contains(err.Error(), "nil pointer") {
				t.Errorf("a read through a nil pointer ended in %v", err)
			}
		}()
		var none *bench
		t.Error(none.ctx)
	})
}

// Every call of the layer hands on the driver's failure: its name, its code, and nothing else happens.
func TestEveryCallCanFail(t *testing.T) {
	openDouble(t)
	var b bench
	var x driver.Address
	var pinned unsafe.Pointer
	var device *driver.Device
	var event *driver.Event
	var graph *driver.Graph
	var nodes []driver.Node
	var executable *driver.Executable
	var err error
	value := float32(0)
	word := unsafe.Pointer(&value)
	parameters := func() unsafe.Pointer { return unsafe.Pointer(&noiseParams{x: x, n: 1, d: 1}) }
	one, threads := driver.Dim{X: 1}, driver.Dim{X: noiseThreads}

	// In the order in which they need each other. A step that is undone by the next has worked before.
	steps := []struct {
		call string
		do   func() error
	}{
		{"cuDeviceGetCount", func() error { _, err := driver.DeviceCount(); return err }},
		{"cuDeviceGet", func() error { device, err = driver.OpenDevice(0); return err }},
		{"cuDeviceGetName", func() error { device, err = driver.OpenDevice(0); return err }},
		{"cuDeviceTotalMem", func() error { device, err = driver.OpenDevice(0); return err }},
		{"cuDeviceGetAttribute", func() error { device, err = driver.OpenDevice(0); return err }},
		{"cuDevicePrimaryCtxRetain", func() error { b.ctx, err = device.NewContext(); return err }},
		{"cuCtxPushCurrent", func() error { return b.ctx.Do(func() error { return nil }) }},
		{"cuStreamCreate", func() error { b.stream, err = b.ctx.NewStream(); return err }},
		{"cuModuleLoadData", func() error { b.module, err = b.ctx.LoadModule(image(t, "noise")); return err }},
		{"cuModuleGetFunction", func() error { b.uniform, err = b.module.Function("brenier_cuda_noise_uniform"); return err }},
		{"cuFuncGetAttribute", func() error { b.uniform, err = b.module.Function("brenier_cuda_noise_uniform"); return err }},
		{"cuFuncSetAttribute", func() error { return b.uniform.SetDynamicShared(64 << 10) }},
		{"cuOccupancyMaxActiveBlocksPerMultiprocessor", func() error { _, err := b.uniform.BlocksPerMultiprocessor(128, 0); return err }},
		{"cuMemAlloc", func() error { x, err = b.ctx.Alloc(256); return err }},
		{"cuMemHostAlloc", func() error { pinned, err = b.ctx.AllocPinned(256); return err }},
		{"cuMemGetInfo", func() error { _, _, err := b.ctx.MemoryInfo(); return err }},
		{"cuPointerGetAttribute", func() error { _, err := b.ctx.MemoryAt(uintptr(x)); return err }},
		{"cuMemcpyHtoD", func() error { return b.ctx.ToDevice(x, word, 4) }},
		{"cuMemcpyDtoH", func() error { return b.ctx.ToHost(word, x, 4) }},
		{"cuMemcpyHtoDAsync", func() error { return b.stream.ToDevice(x, pinned, 4) }},
		{"cuMemcpyDtoHAsync", func() error { return b.stream.ToHost(pinned, x, 4) }},
		{"cuMemcpyDtoDAsync", func() error { return b.stream.OnDevice(x+128, x, 4) }},
		{"cuMemsetD8Async", func() error { return b.stream.Clear(x, 4) }},
		{"cuLaunchKernel", func() error { return b.stream.Launch(b.uniform, one, threads, 0, parameters()) }},
		{"cuLaunchKernelEx", func() error { return b.stream.LaunchDependent(b.uniform, one, threads, 0, parameters()) }},
		{"cuEventCreate", func() error { event, err = b.ctx.NewEvent(true); return err }},
		{"cuEventRecord", func() error { return b.stream.Record(event) }},
		{"cuStreamWaitEvent", func() error { return b.stream.Wait(event) }},
		{"cuEventSynchronize", func() error { return event.Synchronize() }},
		{"cuEventElapsedTime", func() error { _, err := driver.Elapsed(event, event); return err }},
		{"cuStreamSynchronize", func() error { return b.stream.Synchronize() }},
		{"cuStreamBeginCapture", func() error { return b.stream.BeginCapture() }},
		{"cuStreamEndCapture", func() error {
			if err := b.stream.Launch(b.uniform, one, threads, 0, parameters()); err != nil {
				return err
			}
			graph, err = b.stream.EndCapture()
			return err
		}},
		{"cuGraphGetNodes", func() error { nodes, err = graph.Kernels(); return err }},
		{"cuGraphNodeGetType", func() error { nodes, err = graph.Kernels(); return err }},
		{"cuGraphKernelNodeGetParams", func() error { nodes, err = graph.Kernels(); return err }},
		{"cuGraphInstantiate", func() error { executable, err = graph.Instantiate(); return err }},
		{"cuGraphExecKernelNodeSetParams", func() error {
			return executable.SetKernel(nodes[0], b.uniform, one, threads, 0, parameters())
		}},
		{"cuGraphLaunch", func() error { return executable.Launch(b.stream) }},
	}
	// Each needs something to give back; a failure of these is told and it is given back all the same.
	releases := []struct {
		call string
		do   func() error
	}{
		{"cuGraphExecDestroy", func() error { return executable.Destroy() }},
		{"cuGraphDestroy", func() error { return graph.Destroy() }},
		{"cuEventDestroy", func() error { return event.Destroy() }},
		{"cuMemFree", func() error { return b.ctx.Free(x) }},
		{"cuMemFreeHost", func() error { return b.ctx.FreePinned(pinned) }},
		{"cuModuleUnload", func() error { return b.module.Unload() }},
		{"cuStreamDestroy", func() error { return b.stream.Destroy() }},
		{"cuDevicePrimaryCtxRelease", func() error { return b.ctx.Close() }},
	}

	wantFailure := func(call string, code int, err error) {
		t.Helper()
		var e *driver.Error
		if !errors.As(err, &e) || e.Call != call || e.Code != code || e.Name == "" || e.Text == "" {
			t.Errorf("%s made to fail with %d: got %#v", call, code, err)
		}
	}
	// A context is current from the step that makes one on.
	inContext := func(do func() error) error {
		if b.ctx == nil {
			return do()
		}
		return b.ctx.Do(do)
	}
	for _, s := range steps {
		for _, code := range []int{outOfMemory, launchFailed} {
			double.Fail(s.call, 1, code, false)
			wantFailure(s.call, code, inContext(s.do))
		}
		if err := inContext(s.do); err != nil {
			t.Fatalf("%s: %v", s.call, err)
		}
	}
	for _, r := range releases {
		double.Fail(r.call, 1, launchFailed, false)
		if r.call == "cuDevicePrimaryCtxRelease" {
			wantFailure(r.call, launchFailed, r.do())
		} else {
			wantFailure(r.call, launchFailed, inContext(r.do))
		}
	}
	if left := double.Objects(); left != (double.Counts{}) {
		t.Errorf("left at the end: %+v", left)
	}
}
