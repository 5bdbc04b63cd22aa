// The sentence that brenier_last_error returns on this thread; brenier.c keeps it.
#ifndef BRENIER_CAPI_LAST_ERROR_H
#define BRENIER_CAPI_LAST_ERROR_H

#include <stddef.h>

// Copies the sentence.
void capi_set_last_error(const char *text, size_t bytes);

// Keeps a sentence that lives for ever, without memory for it: CONSTANT_SENTENCE("...").
void capi_set_last_error_constant(const char *marked);

#define CONSTANT_SENTENCE(text) "=" text

#endif
