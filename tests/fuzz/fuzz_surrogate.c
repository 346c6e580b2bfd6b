/* LINK: pop3d/surrogate */
/*
 * fuzz_surrogate: the beginning of any message.  What follows the header, or
 * the octets that are looked at, changes nothing; nor does what comes behind
 * the topmost Received field.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pop3d/surrogate.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char tail[] = "\n\nReceived: by x with UTF8SMTP;\n\n";

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	int r;

	r = surrogate_is_needed(data, size);
	copy = malloc(size + sizeof(tail));
	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	memcpy(copy + size, tail, sizeof(tail) - 1);
	if (surrogate_is_needed(copy, size + sizeof(tail) - 1) != r)
		abort();
	free(copy);
	return 0;
}
