/*
 * config_coder: the octets of a configuration on its way to a role: u32 is
 * little-endian, a string is a u32 length and its octets, without NUL.
 * Internal to config_pass.c and config_pass_relay.c.
 */
#ifndef PRIVSEP_CONFIG_CODER_H
#define PRIVSEP_CONFIG_CODER_H

#include <stddef.h>
#include <stdint.h>

#include "config_table.h"

/* Both ways: errors are sticky, and looked at once, at the end. */
struct coder {
	uint8_t		*out;		/* encoding */
	const uint8_t	*in;		/* decoding */
	size_t		 pos, size;
	int		 bad;
};

void	coder_put_number(struct coder *, uint32_t);
uint32_t coder_get_number(struct coder *);
void	coder_put_string(struct coder *, const char *);
/* One that does not fit with its NUL, or holds one, makes the coder bad. */
void	coder_get_string(struct coder *, char *, size_t size);
/* The number, which must lie in the field's bounds. */
uint64_t coder_get_bounded(struct coder *, const struct config_field *,
	    uint64_t);
/* A number that is not more than max, else 0. */
size_t	coder_get_count(struct coder *, size_t max);

/* The place of a list's count. */
#define COUNT_OF(c, f)	((size_t *)(void *)((char *)(c) + (f)->count_offset))
#define COUNT_IN(c, f) \
	(*(const size_t *)(const void *)((const char *)(c) + (f)->count_offset))

/* How one kind of value goes and comes; NULLs: never. */
struct config_coder {
	void	(*put)(struct coder *, const struct config *,
		    const struct config_field *);
	void	(*get)(struct coder *, struct config *,
		    const struct config_field *);
};

/* Those of config_pass_relay.c. */
extern const struct config_coder config_relay_coders[KIND_COUNT];

#endif
