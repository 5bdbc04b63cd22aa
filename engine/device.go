package engine

import (
	"strconv"
	"strings"

	"brenier/engine/internal/backend"
	"brenier/engine/internal/cpu"
	"brenier/engine/internal/fault"
)

// openDevice opens the device that the configuration names. note says why "auto" did not take a
// CUDA device where the build could use one.
func openDevice(c Config) (device backend.Backend, note string, err error) {
	switch name, index, numbered := strings.Cut(c.Device, ":"); {
	case c.Device == "auto":
		return openBest(c)
	case c.Device == "cpu":
		device, err := openCPU(c)
		return device, "", err
	case name == "cuda":
		number := 0
		if numbered {
			if number, err = strconv.Atoi(index); err != nil {
				number = -1
			}
		}
		if hasCUDA && number < 0 {
			return nil, "", fault.New(fault.ErrDevice, "no device %q; want cuda:N with N counted from 0", c.Device)
		}
		device, err := openCUDA(c, number)
		return device, "", err
	}
	return nil, "", fault.Invalid("device: want auto, cpu, cuda or cuda:N, got %q", c.Device)
}

// openBest opens the first CUDA device if there is one that works, else the CPU. What the caller
// said of CUDA is no wish for it.
func openBest(c Config) (backend.Backend, string, error) {
	note := ""
	if hasCUDA {
		device, err := openCUDA(c, 0)
		if err == nil {
			return device, "", nil
		}
		note = "no CUDA device is used: " + err.Error()
	}
	device, err := openCPU(c)
	return device, note, err
}

func openCPU(c Config) (backend.Backend, error) {
	return cpu.New(c.Threads, c.Path)
}
