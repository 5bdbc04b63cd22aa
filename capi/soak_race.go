//go:build race

package main

// #define main soak
// #include "tests/soak_test.c"
import "C"

// soak is the soak of the jobs, tests/soak_test.c, for the race detector: a program cannot load a library
// that has it, so a test of Go's calls the program. It returns 0 if no check failed.
func soak() int { return int(C.soak()) }
