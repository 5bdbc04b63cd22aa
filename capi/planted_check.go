//go:build brenier_check

package main

/*
#include <stdint.h>
*/
import "C"

import (
	"runtime"
	"sync/atomic"

	"brenier/engine"
)

// The library built with the tag brenier_check has two more functions, which tests/check_hooks.h
// declares; the one that ships has neither.

var planted atomic.Int32

const (
	inExport = 1
	inWorker = 2
)

// brenier_check_plant_panic makes the next call that reaches an engine panic: 1 on the caller's
// thread, 2 on a worker of the engine's thread pool.
//
//export brenier_check_plant_panic
func brenier_check_plant_panic(where C.int32_t) { planted.Store(int32(where)) }

// brenier_check_go_allocations counts what Go has allocated since the library was loaded.
//
//export brenier_check_go_allocations
func brenier_check_go_allocations() C.uint64_t {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return C.uint64_t(stats.Mallocs)
}

func plantedPanic() {
	switch planted.Swap(0) {
	case inExport:
		panic("planted in an export")
	case inWorker:
		engine.PanicInWorker("planted in a worker")
	}
}
