//go:build !brenier_check

package main

// plantedPanic is where the library built for tests panics on order; see planted_check.go.
func plantedPanic() {}
