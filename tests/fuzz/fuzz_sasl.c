/* LINK: wire/sasl */
/*
 * fuzz_sasl: the first octet chooses a mechanism and whether there is an
 * initial response; each line after it is a response.  What is taken is the
 * one encoding of what comes out of it, responses are wiped, and a failure
 * leaves no secret.  The same octets, encoded, must be understood as they are.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sasl.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define INPUT_MAX	4096

static struct sasl sasl;

static size_t
encode(const char *data, size_t len, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = (const uint8_t *)data;
	size_t i, n = 0;
	uint32_t v;

	for (i = 0; i < len; i += 3) {
		v = (uint32_t)p[i] << 16;
		v |= i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0;
		v |= i + 2 < len ? p[i + 2] : 0;
		out[n++] = digits[v >> 18];
		out[n++] = digits[v >> 12 & 63];
		out[n++] = i + 1 < len ? digits[v >> 6 & 63] : '=';
		out[n++] = i + 2 < len ? digits[v & 63] : '=';
	}
	out[n] = '\0';
	return n;
}

/* In a buffer of its own size, so that one octet too far is seen. */
static enum sasl_status
step(const char *response, size_t len)
{
	char *copy = malloc(len + 1);
	enum sasl_status status;
	size_t i;

	if (copy == NULL)
		abort();
	memcpy(copy, response, len);
	copy[len] = '\0';
	len = strlen(copy);
	status = sasl_step(&sasl, copy);
	for (i = 0; i < len; i++)
		if (copy[i] != '\0')
			abort();
	free(copy);
	return status;
}

static void
check_encoding(const char *response, size_t len)
{
	static char message[2 * LOGIN_NAME_MAX + LOGIN_SECRET_MAX];
	static char again[2 * sizeof(message)];
	size_t name = strlen(sasl.name), secret = strlen(sasl.secret), n = 0;
	int is_plain = strcmp(sasl_name(&sasl), "PLAIN") == 0, i;

	if (name == 0 || name >= LOGIN_NAME_MAX || secret >= LOGIN_SECRET_MAX)
		abort();
	if (!is_plain) {
		n = encode(sasl.secret, secret, again);
		if (n != len || memcmp(again, response, n) != 0)
			abort();
		return;
	}
	/* With and without the authorization identity. */
	for (i = 0; i < 2; i++) {
		n = 0;
		if (i == 1) {
			memcpy(message, sasl.name, name);
			n = name;
		}
		message[n++] = '\0';
		memcpy(message + n, sasl.name, name + 1);
		n += name + 1;
		memcpy(message + n, sasl.secret, secret);
		n = encode(message, n + secret, again);
		if (n == len && memcmp(again, response, n) == 0)
			return;
	}
	abort();
}

static void
responses(const char *p, const char *end, int has_initial)
{
	enum sasl_status status = SASL_CONTINUE;
	const char *lf;
	size_t len;

	if (!has_initial)
		status = sasl_step(&sasl, NULL);
	while (status == SASL_CONTINUE && p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		len = strnlen(p, (size_t)((lf != NULL ? lf : end) - p));
		status = step(p, len);
		if (status == SASL_DONE)
			check_encoding(p, len);
		p = lf != NULL ? lf + 1 : end;
	}
	if (status != SASL_CONTINUE && status != SASL_DONE &&
	    sasl.secret[0] != '\0')
		abort();
	sasl_end(&sasl);
}

/* name and secret from the octets: both mechanisms must give them back. */
static void
round_trip(const char *p, size_t len)
{
	static char name[LOGIN_NAME_MAX], secret[LOGIN_SECRET_MAX];
	static char message[2 * LOGIN_NAME_MAX + LOGIN_SECRET_MAX];
	static char encoded[2 * sizeof(message)];
	size_t n, s;

	n = strnlen(p, len < LOGIN_NAME_MAX - 1 ? len : LOGIN_NAME_MAX - 1);
	s = strnlen(p + n, len - n < LOGIN_SECRET_MAX - 1 ? len - n :
	    LOGIN_SECRET_MAX - 1);
	if (n == 0)
		return;
	memcpy(name, p, n);
	memcpy(secret, p + n, s);
	name[n] = secret[s] = '\0';
	(void)sasl_begin(&sasl, "LOGIN");
	if (step(encoded, encode(name, n, encoded)) != SASL_CONTINUE ||
	    step(encoded, encode(secret, s, encoded)) != SASL_DONE ||
	    strcmp(sasl.name, name) != 0 || strcmp(sasl.secret, secret) != 0)
		abort();
	message[0] = '\0';
	memcpy(message + 1, name, n + 1);
	memcpy(message + n + 2, secret, s);
	(void)sasl_begin(&sasl, "PLAIN");
	if (step(encoded, encode(message, n + s + 2, encoded)) != SASL_DONE ||
	    strcmp(sasl.name, name) != 0 || strcmp(sasl.secret, secret) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	if (sasl_begin(&sasl, data[0] & 1 ? "LOGIN" : "PLAIN") == -1)
		abort();
	responses(p + 1, p + size, data[0] & 2);
	round_trip(p + 1, size - 1);
	return 0;
}
