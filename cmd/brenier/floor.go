package main

import (
	"runtime"
	"sync"

	"brenier/engine"
	kernels "brenier/kernels/cpu"
)

// floor is what the machine does at most, measured by all threads at once in this run.
type floor struct {
	FLOPS     float64 `json:"flop_per_second"`
	Bandwidth float64 `json:"bytes_per_second"` // of memory beyond the caches

	path    kernels.Path
	threads int
	read    map[int]float64 // bytes per second by the bytes that are read over and over
}

const (
	floorRounds = 10_000_000 // of a dozen vector fmas: some 40 ms
	floorRuns   = 5          // of which the best counts
	beyondCache = 512 << 20  // bytes, of all threads together
)

func measureFloor(on engine.Info) (floor, error) {
	path, err := kernels.ParsePath(on.Path)
	if err != nil {
		return floor{}, err
	}
	f := floor{path: path, threads: max(1, on.Threads), read: map[int]float64{}}
	f.measureFMA()
	f.Bandwidth = f.bandwidth(beyondCache)
	return f, nil
}

// measureFMA keeps the best rate seen. Other programs on the machine, and the processor's clock,
// make it worth measuring before and after the cases.
func (f *floor) measureFMA() {
	for range floorRuns {
		rate := together(f.threads, func(int) float64 { return kernels.MeasureFMA(f.path, floorRounds) })
		f.FLOPS = max(f.FLOPS, rate)
	}
}

// bandwidth is the rate at which the threads read so many bytes together, again and again: data
// that fits a cache is read faster than memory.
func (f floor) bandwidth(bytes int) float64 {
	if rate, known := f.read[bytes]; known {
		return rate
	}
	buffers := make([][]float32, f.threads)
	for i := range buffers {
		buffers[i] = make([]float32, max(16, bytes/4/f.threads))
		for j := 0; j < len(buffers[i]); j += 1024 {
			buffers[i][j] = 1 // pages that were never written are all one page of zeros
		}
	}
	times := 1 + beyondCache/8/bytes
	best := 0.0
	for range floorRuns {
		best = max(best, together(f.threads, func(i int) float64 { return kernels.MeasureRead(buffers[i], times) }))
	}
	f.read[bytes] = best
	return best
}

// together runs measure on so many threads at once and adds the rates.
func together(threads int, measure func(i int) float64) float64 {
	rates := make([]float64, threads)
	var wait sync.WaitGroup
	for i := range rates {
		wait.Add(1)
		go func() {
			defer wait.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			rates[i] = measure(i)
		}()
	}
	wait.Wait()
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum
}

// of is the least time for so many operations on so many bytes of data, and what sets it.
func (f floor) of(flop float64, bytes int) (seconds float64, bound string) {
	compute, read := flop/f.FLOPS, float64(bytes)/f.bandwidth(bytes)
	if read > compute {
		return read, "memory"
	}
	return compute, "fma"
}
