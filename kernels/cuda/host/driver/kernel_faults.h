// Memory that a kernel must not touch, as an error of the launch instead of the end of the process.
#pragma once

namespace brenier::cudadouble {

// Catches SIGSEGV, SIGBUS and SIGFPE of the threads that run kernels; what other threads raise goes to
// the handlers that were there before (Go's, which turns them into panics). Done once.
void catch_kernel_faults();

}  // namespace brenier::cudadouble
