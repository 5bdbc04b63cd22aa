// Command capi is the C shared library of brenier: brenier.h is its contract, brenier.c the public
// functions, and the Go files what stands behind them.
//
//	C caller -> brenier.c (floating-point environment, last error)
//	         -> export_*.go (a few lines for each function: handle, structs, buffers)
//	         -> package engine
//	         -> jobs.c (checks) -> queue.c <- jobs.go (workers) -> package engine
//
// Build it with -buildmode=c-shared; CMakeLists.txt has the whole command.
package main

func main() {}
