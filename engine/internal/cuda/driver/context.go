//go:build cuda

package driver

// #include "calls.h"
import "C"

import (
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// Context is where memory, modules, streams and events live.
type Context struct {
	handle  cu.CUContext
	device  cu.Device
	major   int  // of the compute capability
	primary bool // retained by NewContext, to be released by Close
}

// NewContext returns the device's primary context, which a process has once and which the CUDA runtime
// API, and so the host program, uses too: its pointers and streams are ours and ours are its, and no
// second context takes memory and time slices. Nobody's flags are changed. Every NewContext wants its
// Close; the last of the process' holders to let go destroys it.
func (d *Device) NewContext() (*Context, error) {
	handle, err := d.handle.RetainPrimaryCtx()
	if err != nil {
		return nil, result("cuDevicePrimaryCtxRetain", err)
	}
	return &Context{handle: handle, device: d.handle, major: d.Major, primary: true}, nil
}

// WrapContext is a context of the caller's, a CUcontext, which stays the caller's to destroy.
func WrapContext(handle uintptr) (*Context, error) {
	if handle == 0 {
		return nil, &Error{Call: "WrapContext", Code: noLibrary, Text: "the CUcontext is NULL; want one that is alive"}
	}
	// The handle is no Go pointer and is not to be looked at as one: its bits are what is taken over.
	c := &Context{handle: *(*cu.CUContext)(unsafe.Pointer(&handle))}
	err := c.Do(func() error {
		var err error
		if c.device, err = cu.CurrentDevice(); err != nil {
			return result("cuCtxGetDevice", err)
		}
		c.major, err = c.device.Attribute(cu.ComputeCapabilityMajor)
		return result("cuDeviceGetAttribute", err)
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Do runs f with the context current on a thread that runs nothing else, and leaves the thread as it
// found it. Calls nest, of one context or of several; many may run at once. It allocates nothing.
func (c *Context) Do(f func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.PushCurrentCtx(c.handle); err != nil {
		return result("cuCtxPushCurrent", err)
	}
	defer func() {
		if popped := status("cuCtxPopCurrent", C.brenier_cuda_pop_context()); err == nil {
			err = popped
		}
	}()
	return f()
}

// Handle is the CUcontext.
func (c *Context) Handle() uintptr { return *(*uintptr)(unsafe.Pointer(&c.handle)) }

// DeviceIndex is the index of the context's device.
func (c *Context) DeviceIndex() int { return int(c.device) }

// Close lets the context go. What was made in it and not destroyed stays as long as another holder
// keeps the context; nothing of it may be used through this one any more. A second Close does nothing.
func (c *Context) Close() error {
	if !c.primary {
		return nil
	}
	c.primary = false
	return result("cuDevicePrimaryCtxRelease", c.device.ReleasePrimaryCtx())
}
