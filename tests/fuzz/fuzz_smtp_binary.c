/* LINK: smtpd/binary smtpd/mime_type */
/*
 * Any octets as a BINARYMIME message: what comes out is lines without CR or
 * NUL, is the same however the message is cut, and holds nothing more that is
 * binary: so that it comes through once more as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "smtpd/binary.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define INPUT_MAX	32768
#define OUT_MAX		(4 * INPUT_MAX)

struct out {
	size_t	len;
	uint8_t	text[OUT_MAX];
};

static void
must(int condition)
{
	if (!condition)
		abort();
}

static void
put(void *arg, const uint8_t *octets, size_t len)
{
	struct out *out = arg;

	must(len > 0 && len <= sizeof(out->text) - out->len);
	memcpy(out->text + out->len, octets, len);
	out->len += len;
}

static enum data_fault
run(struct out *out, const uint8_t *in, size_t len, size_t piece)
{
	static struct binary b;
	size_t at, n;

	out->len = 0;
	binary_init(&b, put, out);
	for (at = 0; at < len; at += n) {
		n = len - at < piece ? len - at : piece;
		binary_take(&b, in + at, n);
	}
	binary_end(&b);
	return b.fault;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct out one, two;
	static uint8_t again[2 * OUT_MAX];
	enum data_fault fault;
	size_t i, len = 0;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	fault = run(&one, data + 1, size - 1, size);
	must(run(&two, data + 1, size - 1, data[0] % 16 + 1U) == fault);
	if (fault != DATA_GOOD)
		return 0;
	must(one.len == two.len && memcmp(one.text, two.text, one.len) == 0);
	must(memchr(one.text, '\r', one.len) == NULL);
	must(memchr(one.text, '\0', one.len) == NULL);
	must(one.len == 0 || one.text[one.len - 1] == '\n');
	for (i = 0; i < one.len; i++) {
		if (one.text[i] == '\n')
			again[len++] = '\r';
		again[len++] = one.text[i];
	}
	must(run(&two, again, len, len + 1) == DATA_GOOD);
	must(one.len == two.len && memcmp(one.text, two.text, one.len) == 0);
	return 0;
}
