/* LINK: wire/wire */
/*
 * fuzz_wire: the line reader against a model that sees all input at once, for
 * any split of the input into reads.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct source {
	const uint8_t	*p;
	size_t		 len;
	uint32_t	 seed;	/* of the sizes of reads */
};

static ssize_t
source_read(struct wire *w, void *buf, size_t len)
{
	struct source *s = w->transport;
	size_t n;

	if (len == 0)
		abort();
	s->seed = s->seed * 1664525 + 1013904223;
	n = (s->seed >> 16) % 37 + 1;
	if (n > s->len)
		n = s->len;
	if (n > len)
		n = len;
	memcpy(buf, s->p, n);
	s->p += n;
	s->len -= n;
	return (ssize_t)n;
}

/* The line end of the model's next line, or NULL. */
static const uint8_t *
model_end(const uint8_t *p, const uint8_t *end, int lf_ok)
{
	const uint8_t *q;

	for (q = p; q < end; q++)
		if (*q == '\n' && (lf_ok || (q > p && q[-1] == '\r')))
			return q;
	return NULL;
}

static void
check_line(const uint8_t *p, const uint8_t *lf, const char *line, size_t len)
{
	size_t n = (size_t)(lf - p);

	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (n != len || memcmp(p, line, n) != 0 || line[n] != '\0')
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct wire w;
	struct source source;
	enum wire_status status;
	const uint8_t *p, *end, *lf;
	size_t max, len;
	char *line;
	int lf_ok;

	if (size < 2)
		return 0;
	max = (size_t)data[0] + 1;
	lf_ok = data[1] & 1;
	source = (struct source){ data + 2, size - 2, data[1] };
	p = data + 2;
	end = data + size;
	wire_init(&w, -1, 0);
	w.transport_read = source_read;
	w.transport = &source;
	while ((lf = model_end(p, end, lf_ok)) != NULL) {
		status = wire_line(&w, max, lf_ok, &line, &len);
		if ((size_t)(lf + 1 - p) > max) {
			if (status != WIRE_TOO_LONG)
				abort();
		} else if (status != WIRE_OK)
			abort();
		else
			check_line(p, lf, line, len);
		p = lf + 1;
	}
	if (wire_line(&w, max, lf_ok, &line, &len) != WIRE_EOF)
		abort();
	return 0;
}
