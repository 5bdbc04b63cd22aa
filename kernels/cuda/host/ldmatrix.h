// Twin of ptx/ldmatrix.cuh. Every lane's address is checked, also where the card would not read it.
#pragma once
#include "device.h"

namespace brenier {

namespace host {
void load_matrices(uint32_t *r, int matrices, bool transposed, const void *row);
}

inline void ldmatrix_x4(uint32_t (&r)[4], const void *row) { host::load_matrices(r, 4, false, row); }
inline void ldmatrix_x2(uint32_t (&r)[2], const void *row) { host::load_matrices(r, 2, false, row); }
inline void ldmatrix_x4_transposed(uint32_t (&r)[4], const void *row) { host::load_matrices(r, 4, true, row); }

}  // namespace brenier
