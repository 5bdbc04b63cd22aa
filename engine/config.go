package engine

import (
	"os"
	"strconv"

	"brenier/engine/internal/fault"
)

// Config says how an [Engine] is made. The zero value takes every default.
type Config struct {
	Device  string // "auto", "cpu", "cuda", "cuda:1"; "": BRENIER_DEVICE, else "auto"
	Threads int    // CPU threads; 0: BRENIER_THREADS, else all processors
	Path    string // CPU instruction set "portable", "avx2", "avx512"; "": BRENIER_CPU, else the best

	// Getenv looks up a variable of the environment; nil: os.Getenv. A program that embeds Go may
	// change its environment where Go does not see it.
	Getenv func(name string) string
}

// withEnvironment fills what is not set from the environment.
func (c Config) withEnvironment() (Config, error) {
	getenv := c.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	if c.Device == "" {
		c.Device = getenv("BRENIER_DEVICE")
	}
	if c.Device == "" {
		c.Device = "auto"
	}
	if c.Path == "" {
		c.Path = getenv("BRENIER_CPU")
	}
	if c.Threads < 0 {
		return c, fault.Invalid("threads: want 1 or more, or 0 for the default, got %d", c.Threads)
	}
	if text := getenv("BRENIER_THREADS"); c.Threads == 0 && text != "" {
		threads, err := strconv.Atoi(text)
		if err != nil || threads < 1 {
			return c, fault.Invalid("BRENIER_THREADS: want a whole number from 1, got %q", text)
		}
		c.Threads = threads
	}
	return c, nil
}
