/*
 * Content that comes by BDAT, as slow and as plain as can be: what smtpd/data.c
 * and smtpd/bdat.c are compared with.
 */
#ifndef TESTS_SMTP_BDAT_MODEL_H
#define TESTS_SMTP_BDAT_MODEL_H

#include <stddef.h>
#include <stdint.h>

/* Is there something that no message may hold?  Where more may come, a CR at
 * the end is none yet. */
static int
model_is_faulty(const uint8_t *in, size_t len, int is_whole)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (in[i] == '\0')
			return 1;
		if (in[i] == '\n' && (i == 0 || in[i - 1] != '\r'))
			return 1;
		if (in[i] == '\r' && i + 1 < len && in[i + 1] != '\n')
			return 1;
		if (in[i] == '\r' && i + 1 == len && is_whole)
			return 1;
	}
	return 0;
}

/* Good content as the agent gets it; out has room for len + 1 octets. */
static size_t
model_content(const uint8_t *in, size_t len, uint8_t *out)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++)
		if (in[i] != '\r')
			out[n++] = in[i];
	if (n > 0 && out[n - 1] != '\n')
		out[n++] = '\n';
	return n;
}

#endif
