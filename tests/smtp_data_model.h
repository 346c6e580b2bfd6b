/*
 * DATA as slow and as plain as can be: what smtpd/data.c is compared with, in
 * the unit test and in the fuzz target.
 */
#ifndef TESTS_SMTP_DATA_MODEL_H
#define TESTS_SMTP_DATA_MODEL_H

#include <stdint.h>
#include <string.h>

struct model {
	int	is_done;
	size_t	used;		/* octets up to and with the end */
	int	is_faulty;	/* meaningful when done */
	size_t	len;		/* of out, when done and not faulty */
};

static int
model_is_crlf(const uint8_t *in, size_t len, size_t i)
{
	return i + 1 < len && in[i] == '\r' && in[i + 1] == '\n';
}

/* out has room for len octets. */
static struct model
model_data(const uint8_t *in, size_t len, uint8_t *out)
{
	struct model model = { 0, len, 0, 0 };
	size_t i, dot = 0;

	/* Where is the first line that is nothing but a dot? */
	for (i = 0; i < len && !model.is_done; i++)
		if (in[i] == '.' && model_is_crlf(in, len, i + 1) &&
		    (i == 0 || (i >= 2 && model_is_crlf(in, len, i - 2)))) {
			model.is_done = 1;
			model.used = i + 3;
			dot = i;
		}
	if (!model.is_done)
		return model;
	for (i = 0; i < dot; i++)
		if (in[i] == '\0' ||
		    (in[i] == '\r' && !model_is_crlf(in, dot, i)) ||
		    (in[i] == '\n' && (i == 0 || in[i - 1] != '\r')))
			model.is_faulty = 1;
	for (i = 0; i < dot && !model.is_faulty; i++)
		if (in[i] != '\r' &&
		    !(in[i] == '.' && (i == 0 || in[i - 1] == '\n')))
			out[model.len++] = in[i];
	return model;
}

#endif
