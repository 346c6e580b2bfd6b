/* LINK: pop3d/content wire/wire wire/octets */
/*
 * fuzz_pop3_output: any content in any pieces.  What was sent, unstuffed, is
 * what a model octet by octet makes of it; what was counted while sending is
 * what octets_count() says; TOP is a prefix of it that ends with a line;
 * the header of a surrogate is ASCII.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pop3d/content.h"
#include "wire/octets.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define INPUT_MAX	8192

static uint8_t out[3 * INPUT_MAX + 8], model[2 * INPUT_MAX + 8];
static size_t out_len, model_len;
static struct wire w;

static ssize_t
capture(struct wire *from, const void *data, size_t len)
{
	(void)from;
	if (len > sizeof(out) - out_len)
		abort();
	memcpy(out + out_len, data, len);
	out_len += len;
	return (ssize_t)len;
}

/* Octets before the first empty line; len: there is none. */
static size_t
header_of(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((i == 0 || p[i - 1] == '\n') && (p[i] == '\n' ||
		    (p[i] == '\r' && i + 1 < len && p[i + 1] == '\n')))
			break;
	return i;
}

static void
make_model(const uint8_t *p, size_t len, int is_surrogate)
{
	size_t i, header = header_of(p, len);

	model_len = 0;
	for (i = 0; i < len; i++) {
		if (p[i] == '\n' && (i == 0 || p[i - 1] != '\r'))
			model[model_len++] = '\r';
		if (is_surrogate && i < header && (p[i] == '\0' ||
		    p[i] > 127))
			model[model_len++] = '?';
		else
			model[model_len++] = p[i] == '\0' ? 0x80 : p[i];
	}
	if (len > 0 && p[len - 1] != '\n') {
		model[model_len++] = '\r';
		model[model_len++] = '\n';
	}
	if (len > 0 && header == len) {
		model[model_len++] = '\r';
		model[model_len++] = '\n';
	}
}

/* As a client undoes it; a line of one dot must not be there. */
static size_t
unstuff(uint8_t *p, size_t len)
{
	size_t i, n = 0;
	int at_start = 1;

	for (i = 0; i < len; i++) {
		if (at_start && p[i] == '.') {
			if (i + 1 == len || p[i + 1] == '\r' ||
			    p[i + 1] == '\n')
				abort();
			i++;
		}
		at_start = p[i] == '\n';
		p[n++] = p[i];
	}
	return n;
}

static uint64_t
send_pieces(const uint8_t *p, size_t len, size_t piece, struct top *t,
    int is_surrogate)
{
	struct content c;
	size_t n, at;

	wire_init(&w, -1, 0);
	w.transport_write = capture;
	out_len = 0;
	content_begin(&c, &w, is_surrogate);
	for (at = 0; at < len && !(t != NULL && t->is_full); at += n) {
		n = len - at < piece ? len - at : piece;
		content_put(&c, p + at, t != NULL ? top_take(t, p + at, n) : n);
	}
	content_end(&c);
	if (t == NULL && c.octets > 0)
		content_end_header(&c);
	if (wire_flush(&w) != WIRE_OK)
		abort();
	out_len = unstuff(out, out_len);
	return c.octets;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct octets o;
	struct top t;
	size_t piece, half;
	uint64_t sent;
	int is_surrogate;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	piece = (size_t)data[0] / 2 + 1;
	is_surrogate = data[0] % 2;
	top_begin(&t, data[1]);
	data += 2;
	size -= 2;
	half = size / 2;
	octets_init(&o);
	octets_count(&o, data, half);
	octets_count(&o, data + half, size - half);
	make_model(data, size, is_surrogate);
	sent = send_pieces(data, size, piece, NULL, is_surrogate);
	if (sent != octets_total(&o) || sent != model_len ||
	    out_len != model_len || memcmp(out, model, model_len) != 0)
		abort();
	sent = send_pieces(data, size, piece, &t, is_surrogate);
	if (out_len > model_len || memcmp(out, model, out_len) != 0 ||
	    sent != out_len || (out_len > 0 && out[out_len - 1] != '\n'))
		abort();
	return 0;
}
