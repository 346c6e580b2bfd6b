/* LINK: privsep/signer_content */
/*
 * Any content, by any scheme, with any kind of key: what is signed has one of
 * the two shapes, which are looked for here in another way.
 */
#include <stdlib.h>
#include <string.h>

#include "privsep/signer_content.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
has_shape(const uint8_t *c, size_t len)
{
	static const char context[] = "                                "
	    "                                TLS 1.3, server CertificateVerify";

	if (len > sizeof(context) &&
	    memcmp(c, context, sizeof(context)) == 0)
		return len == sizeof(context) + 32 ||
		    len == sizeof(context) + 48;
	return len > 69 && c[64] == 3 && c[65] == 0 && c[67] == len - 68 &&
	    ((c[66] >= 23 && c[66] <= 25 && c[68] == 4) || c[66] == 29 ||
	    c[66] == 30);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum key_kind kind;
	uint32_t scheme;

	if (size < 3)
		return 0;
	kind = (enum key_kind)(data[0] & 7);
	scheme = (uint32_t)data[1] << 8 | data[2];
	if (signer_content_is_legal(kind, scheme, data + 3, size - 3) &&
	    !has_shape(data + 3, size - 3))
		abort();
	return 0;
}
