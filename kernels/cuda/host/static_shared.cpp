#include "static_shared.h"

#include <stdint.h>

#if defined(__GLIBC__)
#include <link.h>
#endif

namespace brenier {
namespace host {

#if defined(__GLIBC__)
namespace {

struct Search {
	uintptr_t function;
	StaticShared found;
};

int visit(dl_phdr_info *info, size_t, void *data) {
	Search &search = *static_cast<Search *>(data);
	const ElfW(Phdr) *tls = nullptr;
	bool holds = false, loaded_dynamically = false;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) &segment = info->dlpi_phdr[i];
		const uintptr_t start = info->dlpi_addr + segment.p_vaddr;
		if (segment.p_type == PT_TLS) tls = &segment;
		if (segment.p_type == PT_DYNAMIC) loaded_dynamically = true;
		if (segment.p_type == PT_LOAD && search.function - start < segment.p_memsz) holds = true;
	}
	if (!holds) return 0;
	// In a program without shared libraries the C library's own variables lie there too.
	if (tls && info->dlpi_tls_data && loaded_dynamically) {
		search.found.begin = static_cast<unsigned char *>(info->dlpi_tls_data) + tls->p_filesz;
		search.found.bytes = tls->p_memsz - tls->p_filesz;
	}
	return 1;
}

}  // namespace

StaticShared find_static_shared(const void *function) {
	Search search{reinterpret_cast<uintptr_t>(function), {}};
	dl_iterate_phdr(visit, &search);
	return search.found;
}
#else
StaticShared find_static_shared(const void *) { return {}; }
#endif

}  // namespace host
}  // namespace brenier
