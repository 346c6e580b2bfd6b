/* LINK: wire/mbox_filter */
/*
 * What a client sees of an mbox message against the slow model
 * (tests/mbox_filter_model.h), cut in pieces whose lengths the first four
 * octets say.
 */
#include <stdlib.h>

#include "tests/mbox_filter_model.h"
#include "wire/mbox_filter.h"

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
	static uint8_t out[INPUT_MAX + 1], want[INPUT_MAX];
	const uint8_t *cuts = in;
	struct mbox_filter f;
	struct mbox_span span;
	size_t at = 0, i, piece, used, len = 0, header = 0, calls = 0;
	int in_body = 0;

	if (size < 4 || size > INPUT_MAX)
		return 0;
	in += 4;
	size -= 4;
	mbox_filter_init(&f);
	for (i = 0; at < size; i++) {
		piece = cuts[i % 4] + 1U;
		if (piece > size - at)
			piece = size - at;
		used = mbox_filter_take(&f, in + at, piece, &span);
		must(used <= piece && span.len <= size - len);
		must(span.len == 0 || span.is_body || !in_body);
		in_body |= span.len > 0 && span.is_body;
		header += span.is_body ? 0 : span.len;
		memcpy(out + len, span.data, span.len);
		len += span.len;
		at += used;
		must(++calls <= 4 * size);
	}
	mbox_filter_end(&f, &span);
	must(span.len <= size - len);
	memcpy(out + len, span.data, span.len);
	len += span.len;
	header += span.is_body ? 0 : span.len;
	must(len == model_filter(in, size, want));
	must(memcmp(out, want, len) == 0 && header == model_header);
	return 0;
}
