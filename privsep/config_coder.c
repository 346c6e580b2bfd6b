/*
 * config_coder: numbers and strings of a configuration on its way to a role.
 *
 * Runs in the master, as root, and in every role at its start; touches memory
 * only.
 */
#include <string.h>

#include "config.h"
#include "config_coder.h"
#include "config_table.h"

/* Room for n more octets, or the coder is bad. */
static int
has_room(struct coder *k, size_t n)
{
	if (k->bad || n > k->size - k->pos)
		k->bad = 1;
	return !k->bad;
}

void
coder_put_number(struct coder *k, uint32_t v)
{
	int i;

	if (!has_room(k, 4))
		return;
	for (i = 0; i < 4; i++)
		k->out[k->pos++] = (uint8_t)(v >> (8 * i));
}

uint32_t
coder_get_number(struct coder *k)
{
	uint32_t v = 0;
	int i;

	if (!has_room(k, 4))
		return 0;
	for (i = 0; i < 4; i++)
		v |= (uint32_t)k->in[k->pos++] << (8 * i);
	return v;
}

void
coder_put_string(struct coder *k, const char *s)
{
	size_t len = strlen(s);

	coder_put_number(k, (uint32_t)len);
	if (!has_room(k, len))
		return;
	memcpy(k->out + k->pos, s, len);
	k->pos += len;
}

void
coder_get_string(struct coder *k, char *dst, size_t size)
{
	size_t len = coder_get_number(k);

	dst[0] = '\0';
	if (!has_room(k, len))
		return;
	if (len >= size || memchr(k->in + k->pos, '\0', len) != NULL) {
		k->bad = 1;
		return;
	}
	memcpy(dst, k->in + k->pos, len);
	dst[len] = '\0';
	k->pos += len;
}

uint64_t
coder_get_bounded(struct coder *k, const struct config_field *f, uint64_t v)
{
	if (v < f->min || v > f->max)
		k->bad = 1;
	return v;
}

size_t
coder_get_count(struct coder *k, size_t max)
{
	size_t n = coder_get_number(k);

	if (n <= max)
		return n;
	k->bad = 1;
	return 0;
}
