/* LINK: smtpd/header */
/*
 * A submitted letter's header against the slow model, cut in pieces whose
 * lengths the first four octets say; whatever was added, nothing was lost.
 */
#include "tests/smtp_header_model.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define INPUT_MAX	65536

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	static uint8_t out[INPUT_MAX + MODEL_ADDED];
	static uint8_t expected[INPUT_MAX + MODEL_ADDED];
	size_t len;

	if (size < 4 || size > INPUT_MAX)
		return 0;
	len = model_header(in + 4, size - 4, MODEL_DATE, MODEL_ID, expected);
	if (model_pieces(in + 4, size - 4, in, out) != len ||
	    memcmp(out, expected, len) != 0)
		abort();
	return 0;
}
