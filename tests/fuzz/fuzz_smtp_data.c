/* LINK: smtpd/data */
/*
 * DATA framing against the slow model (tests/smtp_data_model.h), cut in pieces
 * whose lengths the first four octets say.
 */
#include <stdlib.h>

#include "smtpd/data.h"
#include "tests/smtp_data_model.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define INPUT_MAX	65536

static void
must(int condition)
{
	if (!condition)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	static uint8_t out[INPUT_MAX], expected[INPUT_MAX];
	const uint8_t *cuts = in;
	struct model model;
	struct data data;
	size_t at = 0, i, n, piece, outlen = 0, used;

	if (size < 4 || size > INPUT_MAX)
		return 0;
	in += 4;
	size -= 4;
	model = model_data(in, size, expected);
	data_init(&data, 0);
	for (i = 0; at < size && !data_is_done(&data); i++) {
		piece = cuts[i % 4] % 64 + 1U;
		if (piece > size - at)
			piece = size - at;
		used = data_take(&data, in + at, piece, out + outlen, &n);
		must(used == piece || data_is_done(&data));
		must(n <= used);
		at += used;
		outlen += n;
	}
	must(data.octets == at);
	must(data_is_done(&data) == model.is_done);
	must(at == model.used);
	if (!model.is_done)
		return 0;
	must((data.fault != DATA_GOOD) == model.is_faulty);
	must((data_fault_text(&data) != NULL) == model.is_faulty);
	if (!model.is_faulty)
		must(outlen == model.len && memcmp(out, expected, outlen) == 0);
	return 0;
}
