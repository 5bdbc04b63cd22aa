//go:build cuda

package driver

// #include "calls.h"
import "C"

import "gorgonia.org/cu"

// Device is a GPU and what the choice of kernels and tiles depends on.
type Device struct {
	Index                   int
	Name                    string
	Major, Minor            int // compute capability
	Memory                  uint64
	Multiprocessors         int
	SharedPerBlock          int // bytes, the most that a kernel may opt into
	SharedPerMultiprocessor int // bytes
	L2Bytes                 int
	ClockKHz                int
	Double                  bool // no GPU: the driver's double, which runs the kernels on the host

	handle cu.Device
}

// DeviceCount is the number of GPUs that the driver shows.
func DeviceCount() (int, error) {
	n, err := cu.NumDevices()
	return n, result("cuDeviceGetCount", err)
}

// OpenDevice describes a GPU, counted from 0.
func OpenDevice(index int) (*Device, error) {
	handle, err := cu.GetDevice(index)
	if err != nil {
		return nil, result("cuDeviceGet", err)
	}
	d := &Device{Index: index, Double: Symbol("cudadouble_version") != nil, handle: handle}
	if d.Name, err = handle.Name(); err != nil {
		return nil, result("cuDeviceGetName", err)
	}
	memory, err := handle.TotalMem()
	if err != nil {
		return nil, result("cuDeviceTotalMem", err)
	}
	d.Memory = uint64(memory)
	for _, a := range []struct {
		value     *int
		attribute cu.DeviceAttribute
	}{
		{&d.Major, cu.ComputeCapabilityMajor},
		{&d.Minor, cu.ComputeCapabilityMinor},
		{&d.Multiprocessors, cu.MultiprocessorCount},
		{&d.SharedPerBlock, C.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN},
		{&d.SharedPerMultiprocessor, cu.MaxSharedMemoryPerMultiprocessor},
		{&d.L2Bytes, cu.L2CacheSize},
		{&d.ClockKHz, cu.ClockRate},
	} {
		if *a.value, err = handle.Attribute(a.attribute); err != nil {
			return nil, result("cuDeviceGetAttribute", err)
		}
	}
	return d, nil
}
