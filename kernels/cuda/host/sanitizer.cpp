// What the compiler's own checks of kernels report: -fsanitize=alignment,bounds,shift-exponent,
// float-cast-overflow,integer-divide-by-zero calls these functions, by the names and the layouts of
// libubsan, which is not linked. The host's processor would let a misaligned float4 pass, or do
// another thing than the card (a shift by 32 and more, a conversion out of range): here they end the
// launch.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "scheduler.h"

namespace brenier {
namespace host {
namespace {

struct Location {
	const char *file;
	uint32_t line, column;
};
struct Type {
	uint16_t kind, info;
	char name[1];
};
struct Mismatch {
	Location location;
	const Type *type;
	unsigned char log_alignment, access;
};
struct Bounds {
	Location location;
	const Type *array, *index;
};
struct Shift {
	Location location;
	const Type *left, *right;
};
struct Conversion {
	Location location;
	const Type *from, *to;
};
struct Division {
	Location location;
	const Type *type;
};

[[noreturn]] void refuse(Fault fault, const Location &location, const char *what) {
	if (place) fail(fault, "%s at %s:%u:%u", what, location.file, location.line, location.column);
	fprintf(stderr, "%s at %s:%u:%u, outside of any launch\n", what, location.file, location.line, location.column);
	abort();
}

}  // namespace
}  // namespace host
}  // namespace brenier

using namespace brenier::host;

extern "C" {
__attribute__((visibility("hidden"))) void __ubsan_handle_type_mismatch_v1(Mismatch *m, uintptr_t pointer) {
	char what[256];
	const unsigned long alignment = 1ul << m->log_alignment;
	if (pointer & (alignment - 1)) {
		snprintf(what, sizeof what, "accesses %s at %#lx, no multiple of %lu,", m->type->name, (unsigned long)pointer, alignment);
		refuse(Fault::misaligned_address, m->location, what);
	}
	snprintf(what, sizeof what, "accesses %s at %#lx", m->type->name, (unsigned long)pointer);
	refuse(Fault::illegal_address, m->location, what);
}
__attribute__((visibility("hidden"))) void __ubsan_handle_out_of_bounds(Bounds *b, uintptr_t index) {
	char what[256];
	snprintf(what, sizeof what, "takes element %ld of %s", (long)index, b->array->name);
	refuse(Fault::illegal_address, b->location, what);
}
__attribute__((visibility("hidden"))) void __ubsan_handle_shift_out_of_bounds(Shift *s, uintptr_t, uintptr_t by) {
	char what[256];
	snprintf(what, sizeof what, "shifts %s by %ld", s->left->name, (long)by);
	refuse(Fault::illegal_instruction, s->location, what);
}
__attribute__((visibility("hidden"))) void __ubsan_handle_float_cast_overflow(Conversion *c, uintptr_t) {
	char what[256];
	snprintf(what, sizeof what, "converts a %s out of range to %s", c->from->name, c->to->name);
	refuse(Fault::illegal_instruction, c->location, what);
}
__attribute__((visibility("hidden"))) void __ubsan_handle_divrem_overflow(Division *d, uintptr_t, uintptr_t) {
	char what[256];
	snprintf(what, sizeof what, "divides %s by 0, or overflows", d->type->name);
	refuse(Fault::illegal_instruction, d->location, what);
}
}
