// Counts what held and what did not. A test ends with `return check::summary();`.
#pragma once
#include <stdio.h>

#include <string>

namespace check {

inline int passed = 0, failed = 0;

inline bool that(bool holds, const std::string &what) {
	if (holds) {
		passed++;
	} else {
		failed++;
		if (failed <= 20) printf("FAILED: %s\n", what.c_str());
	}
	return holds;
}

inline int summary() {
	printf("%d passed, %d failed\n", passed, failed);
	return failed ? 1 : 0;
}

}  // namespace check
