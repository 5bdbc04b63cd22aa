// Package cpu holds the hot loops of the CPU backend as C microkernels, one family a stage, each
// compiled for every instruction set that the target can have and chosen at run time.
//
// It has no logic of its own: packing, threads and the order of the stages are the backend's.
package cpu

/*
#cgo CFLAGS: -std=c11 -O3 -Wall -Wextra -Wno-psabi
#cgo LDFLAGS: -lm
#include "path.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"strings"
)

// Path is an instruction set that the kernels are compiled for.
type Path int

// The paths, from plainest to widest. Portable is SSE2 on x86-64 and NEON on Arm.
const (
	Portable Path = C.BRENIER_PORTABLE
	AVX2     Path = C.BRENIER_AVX2
	AVX512   Path = C.BRENIER_AVX512
)

var pathNames = [...]string{Portable: "portable", AVX2: "avx2", AVX512: "avx512"}

func (p Path) String() string { return pathNames[p] }

// Lanes returns the number of float32 in a vector of the path.
func (p Path) Lanes() int { return 4 << p }

// Best returns the widest path that this processor has.
func Best() Path { return Path(C.brenier_best_path()) }

// Paths returns every path that this processor has, plainest first.
func Paths() []Path {
	paths := []Path{Portable}
	for p := AVX2; p <= Best(); p++ {
		paths = append(paths, p)
	}
	return paths
}

// ParsePath returns the path of a name as BRENIER_CPU takes it; "" is the best one.
func ParsePath(name string) (Path, error) {
	if name == "" {
		return Best(), nil
	}
	for p, n := range pathNames {
		if n != name {
			continue
		}
		if Path(p) > Best() {
			return 0, fmt.Errorf("this %s processor has no %s; the best it has is %s", runtime.GOARCH, name, Best())
		}
		return Path(p), nil
	}
	return 0, fmt.Errorf("want one of %s, got %q", strings.Join(pathNames[:], ", "), name)
}
