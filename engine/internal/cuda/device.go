//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"brenier/engine/internal/cuda/driver"
	"brenier/engine/internal/fault"
)

// leastCapability is that of the oldest card that the kernels are compiled for: Turing.
const leastCapability = 75

// device is a GPU with a context on it. Its methods may be called from any goroutine, and inside or
// outside of [device.do].
type device struct {
	ctx  *driver.Context
	info *driver.Device

	lost atomic.Pointer[error] // what the device was lost by; every later call returns it

	mu        sync.Mutex
	images    map[string]driver.Image
	modules   map[string]*driver.Module
	functions map[functionName]*loadedFunction
	verdicts  map[string]error // of the kernels asked so far, by check.kernel; nil: believed

	budget int                    // bytes that may be allocated
	used   int                    // bytes that are
	sizes  map[driver.Address]int // of what is allocated, in bytes
}

// functionName is a kernel and the module, a .cu file's stem, that holds it.
type functionName struct{ module, name string }

type loadedFunction struct {
	*driver.Function
	dynamicShared int // bytes that a launch may ask for
}

// openDevice opens the GPU that the configuration names, with a context of its own unless the
// caller handed one in.
func openDevice(c Config) (*device, error) {
	if err := driver.Load(c.Library); err != nil {
		return nil, fault.New(kindOf(err), "no CUDA driver: %w", err)
	}
	count, err := driver.DeviceCount()
	if err != nil {
		return nil, fault.New(kindOf(err), "the CUDA driver does not work: %w", err)
	}
	if c.Index < 0 || c.Index >= count {
		return nil, fault.New(fault.ErrDevice, "cuda:%d: no such device; the CUDA driver shows %d, counted from 0", c.Index, count)
	}
	info, err := driver.OpenDevice(c.Index)
	if err != nil {
		return nil, fault.New(kindOf(err), "cuda:%d: %w", c.Index, err)
	}
	v := &device{
		info:      info,
		images:    map[string]driver.Image{},
		modules:   map[string]*driver.Module{},
		functions: map[functionName]*loadedFunction{},
		verdicts:  map[string]error{},
		sizes:     map[driver.Address]int{},
	}
	if v.capability() < leastCapability {
		return nil, fault.New(fault.ErrDevice, "cuda:%d: %s has compute capability %d.%d; want %d.%d or more", c.Index,
			info.Name, info.Major, info.Minor, leastCapability/10, leastCapability%10)
	}
	for _, image := range driver.Images() {
		v.images[image.Name] = image
	}
	if c.Context != 0 {
		v.ctx, err = driver.WrapContext(c.Context)
	} else {
		v.ctx, err = info.NewContext()
	}
	if err != nil {
		return nil, v.fault(err)
	}
	if on := v.ctx.DeviceIndex(); on != c.Index {
		v.close()
		return nil, fault.Invalid("the CUDA context is one of cuda:%d, and the engine is to run on cuda:%d; ask for the device \"cuda:%d\"", on, c.Index, on)
	}
	if err := v.setBudget(c.Memory); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// setBudget bounds what the device allocates to bytes; 0 bounds it to what the card has free now,
// less a reserve for the display, other programs and the driver itself.
func (v *device) setBudget(bytes int) error {
	if bytes > 0 {
		v.budget = bytes
		return nil
	}
	return v.do(func() error {
		free, total, err := v.ctx.MemoryInfo()
		if err != nil {
			return err
		}
		const leastReserve = 64 << 20
		reserve := max(leastReserve, total/32)
		v.budget = int(free - min(free, reserve))
		return nil
	})
}

// capability is the card's compute capability, as 75, 90, 120.
func (v *device) capability() int { return 10*v.info.Major + v.info.Minor }

// do runs f with the device's context current on the thread, and turns what the driver says into an
// error of the engine. Everything of package driver is called inside it.
func (v *device) do(f func() error) error {
	if err := v.lost.Load(); err != nil {
		return *err
	}
	if err := v.ctx.Do(f); err != nil {
		return v.fault(err)
	}
	return nil
}

// fault is an error of the driver as one of the engine, of the kind that fits. A device that the
// driver reports as lost answers every later call with this error.
func (v *device) fault(err error) error {
	var failed *driver.Error
	var told *fault.Error
	switch {
	case err == nil:
		return nil
	case driver.IsLost(err):
		lost := fault.New(fault.ErrDevice, "cuda:%d (%s) was lost: %w; destroy the engine and make a new one", v.info.Index, v.info.Name, err)
		v.lost.CompareAndSwap(nil, &lost)
		return *v.lost.Load()
	case errors.As(err, &told): // a sentence already
		return err
	case errors.As(err, &failed):
		return fault.New(kindOf(err), "cuda:%d (%s): %w", v.info.Index, v.info.Name, err)
	}
	return err
}

// kindOf is the kind of a failure of the driver's.
func kindOf(err error) error {
	if driver.IsOutOfMemory(err) {
		return fault.ErrOutOfMemory
	}
	return fault.ErrDevice
}

// kernel returns a kernel of a module, a .cu file's stem, ready to be launched with that many bytes
// of dynamic shared memory. Modules are loaded on first use and stay until the device is closed.
func (v *device) kernel(module, name string, dynamicShared int) (*driver.Function, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := functionName{module, name}
	f := v.functions[key]
	if f != nil && f.dynamicShared >= dynamicShared {
		return f.Function, nil
	}
	err := v.do(func() error {
		if f == nil {
			m, err := v.module(module)
			if err != nil {
				return err
			}
			found, err := m.Function(name)
			if err != nil {
				return fault.New(kindOf(err), "kernel %s of module %s: %w", name, module, err)
			}
			f = &loadedFunction{Function: found}
		}
		if dynamicShared > f.dynamicShared {
			if err := f.SetDynamicShared(dynamicShared); err != nil {
				return fault.New(kindOf(err), "kernel %s: %d bytes of shared memory: %w", name, dynamicShared, err)
			}
			f.dynamicShared = dynamicShared
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	v.functions[key] = f
	return f.Function, nil
}

// module loads a module once. The caller holds v.mu and runs inside do.
func (v *device) module(name string) (*driver.Module, error) {
	if m := v.modules[name]; m != nil {
		return m, nil
	}
	image, ok := v.images[name]
	if !ok {
		return nil, fault.New(fault.ErrUnsupported, "this build has no CUDA module %q", name)
	}
	m, err := v.ctx.LoadModule(image)
	if err != nil {
		if driver.IsLost(err) || driver.IsOutOfMemory(err) {
			return nil, err
		}
		return nil, fault.New(fault.ErrUnsupported, "CUDA module %q does not load on %s (sm_%d): %w", name, v.info.Name, v.capability(), err)
	}
	v.modules[name] = m
	return m, nil
}

// alloc returns fresh memory on the device, aligned to 256 bytes or more, its contents undefined.
// fault.ErrOutOfMemory, with the numbers, where the budget or the card has not as much.
func (v *device) alloc(bytes int) (driver.Address, error) {
	if err := v.charge(bytes); err != nil {
		return 0, err
	}
	var a driver.Address
	err := v.do(func() (err error) {
		a, err = v.ctx.Alloc(max(bytes, 1))
		return err
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	if err == nil {
		v.sizes[a] = bytes
		return a, nil
	}
	v.used -= bytes
	if driver.IsOutOfMemory(err) {
		return 0, fault.New(fault.ErrOutOfMemory, "cuda:%d (%s) has no room for %s beside the %s that this engine has there: %w",
			v.info.Index, v.info.Name, memorySize(bytes), memorySize(v.used), err)
	}
	return 0, err
}

// charge counts bytes as used, if the budget has them.
func (v *device) charge(bytes int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if bytes < 0 || bytes > v.budget-v.used {
		return fault.New(fault.ErrOutOfMemory, "cuda:%d (%s): %s more do not fit in the budget of %s, of which %s are used",
			v.info.Index, v.info.Name, memorySize(bytes), memorySize(v.budget), memorySize(v.used))
	}
	v.used += bytes
	return nil
}

// free gives back memory that alloc or an upload returned; 0 is none. No launch may still use it.
func (v *device) free(a driver.Address) {
	if a == 0 {
		return
	}
	v.mu.Lock()
	bytes, ours := v.sizes[a]
	delete(v.sizes, a)
	v.mu.Unlock()
	if !ours {
		return
	}
	// Of a lost device nothing can be given back, and there is nobody to tell.
	_ = v.do(func() error { return v.ctx.Free(a) })
	v.mu.Lock()
	v.used -= bytes
	v.mu.Unlock()
}

// upload copies bytes from the host to fresh memory, which the caller frees.
func (v *device) upload(data unsafe.Pointer, bytes int) (driver.Address, error) {
	a, err := v.alloc(bytes)
	if err != nil || bytes == 0 {
		return a, err
	}
	if err := v.do(func() error { return v.ctx.ToDevice(a, data, bytes) }); err != nil {
		v.free(a)
		return 0, err
	}
	return a, nil
}

// uploadFloats is upload for float32 values.
func (v *device) uploadFloats(values []float32) (driver.Address, error) {
	return uploadValues(v, values)
}

// uploadValues is upload for values of a type without pointers.
func uploadValues[T any](v *device, values []T) (driver.Address, error) {
	var one T
	return v.upload(unsafe.Pointer(unsafe.SliceData(values)), len(values)*int(unsafe.Sizeof(one)))
}

// memorySize is a number of bytes for a sentence.
func memorySize(bytes int) string {
	if bytes < 1e6 {
		return fmt.Sprintf("%.1f KB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}

// close gives everything back. No stage of the device may be in use.
func (v *device) close() error {
	leaked := make([]driver.Address, 0, len(v.sizes))
	for a := range v.sizes {
		leaked = append(leaked, a)
	}
	for _, a := range leaked { // after a failure; the caller's context would keep it
		v.free(a)
	}
	unload := v.do(func() (err error) {
		for _, m := range v.modules {
			if failed := m.Unload(); err == nil {
				err = failed
			}
		}
		return err
	})
	clear(v.modules)
	clear(v.functions)
	// A lost device's context is destroyed too: that is how its host side is given back.
	closed := v.ctx.Close()
	if v.lost.Load() != nil {
		return nil
	}
	if unload != nil {
		return unload
	}
	return v.fault(closed)
}
