/*
 * sasl: PLAIN (RFC 4616) and LOGIN, the server's side, from base64 to a name
 * and a secret.
 *
 * Runs in the worker, as worker-user, confined; touches the response it is
 * given.  A response is decoded where it stands, so that a secret is in two
 * places only, both of which are wiped: there and in struct sasl.
 */
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "sasl.h"

struct sasl_mechanism {
	const char	*name;
	const char	*prompt;	/* first challenge, base64 */
	/* One decoded response of len octets. */
	enum sasl_status (*take)(struct sasl *, const char *, size_t len);
};

/* Steps: what the client was asked for. */
enum {
	STEP_NOTHING,	/* an initial response is welcome */
	STEP_FIRST,	/* by the mechanism's prompt */
	STEP_SECRET	/* LOGIN only */
};

#define PROMPT_NAME	"VXNlcm5hbWU6"	/* "Username:" */
#define PROMPT_SECRET	"UGFzc3dvcmQ6"	/* "Password:" */

/* The value of a base64 digit, or -1 (RFC 4648, 4). */
static int
digit(char ch)
{
	if (ch >= 'A' && ch <= 'Z')
		return ch - 'A';
	if (ch >= 'a' && ch <= 'z')
		return ch - 'a' + 26;
	if (ch >= '0' && ch <= '9')
		return ch - '0' + 52;
	return ch == '+' ? 62 : ch == '/' ? 63 : -1;
}

/*
 * Decode in place: what is written never overtakes what is read.  Whole groups
 * of four, padding at the end only, and none of the bits that it leaves over
 * set: an octet string has one encoding.  The length, or -1.
 */
static ssize_t
base64_decode(char *s, size_t len)
{
	size_t padding = 0, i, n = 0;
	uint32_t bits = 0;
	int value;

	if (len % 4 != 0)
		return -1;
	while (padding < 2 && padding < len && s[len - 1 - padding] == '=')
		padding++;
	for (i = 0; i < len - padding; i++) {
		if ((value = digit(s[i])) == -1)
			return -1;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 != 0)
			s[n++] = (char)(bits >> (6 - 2 * (i % 4)) & 0xff);
	}
	/* Two digits left 4 bits over, three 2. */
	if (padding > 0 && (bits & (padding == 2 ? 0xf : 0x3)) != 0)
		return -1;
	return (ssize_t)n;
}

/* Into name or secret; with room for its NUL. */
static enum sasl_status
store(char *dst, size_t size, const char *src, size_t len)
{
	if (memchr(src, '\0', len) != NULL)
		return SASL_MALFORMED;
	if (len >= size)
		return SASL_REFUSED;
	memcpy(dst, src, len);
	dst[len] = '\0';
	return SASL_DONE;
}

static enum sasl_status
store_name(struct sasl *s, const char *name, size_t len)
{
	/* An empty secret is wrong like any other; an empty name is none. */
	return len == 0 ? SASL_MALFORMED :
	    store(s->name, sizeof(s->name), name, len);
}

/* [authzid] NUL authcid NUL passwd; nobody acts for another (C10). */
static enum sasl_status
take_plain(struct sasl *s, const char *p, size_t len)
{
	const char *name, *secret, *end = p + len;
	enum sasl_status status;
	size_t name_len, authzid_len;

	if ((name = memchr(p, '\0', len)) == NULL)
		return SASL_MALFORMED;
	authzid_len = (size_t)(name++ - p);
	if ((secret = memchr(name, '\0', (size_t)(end - name))) == NULL)
		return SASL_MALFORMED;
	name_len = (size_t)(secret++ - name);
	status = store(s->secret, sizeof(s->secret), secret,
	    (size_t)(end - secret));
	if (status != SASL_DONE)
		return status;
	if (authzid_len != 0 && (authzid_len != name_len ||
	    memcmp(p, name, name_len) != 0))
		return name_len == 0 ? SASL_MALFORMED : SASL_REFUSED;
	return store_name(s, name, name_len);
}

static enum sasl_status
take_login(struct sasl *s, const char *p, size_t len)
{
	enum sasl_status status;

	if (s->step == STEP_SECRET)
		return store(s->secret, sizeof(s->secret), p, len);
	status = store_name(s, p, len);
	if (status != SASL_DONE)
		return status;
	s->step = STEP_SECRET;
	s->challenge = PROMPT_SECRET;
	return SASL_CONTINUE;
}

static const struct sasl_mechanism mechanisms[] = {
	{ "PLAIN", "", take_plain },
	{ "LOGIN", PROMPT_NAME, take_login }
};

const char sasl_mechanisms[] = "PLAIN LOGIN";

int
sasl_begin(struct sasl *s, const char *mechanism)
{
	size_t i;

	s->mechanism = NULL;
	s->step = STEP_NOTHING;
	s->challenge = "";
	s->name[0] = s->secret[0] = '\0';
	for (i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
		if (strcasecmp(mechanisms[i].name, mechanism) == 0) {
			s->mechanism = &mechanisms[i];
			return 0;
		}
	return -1;
}

static enum sasl_status
take_response(struct sasl *s, char *response, size_t size)
{
	ssize_t len;

	if (s->step == STEP_NOTHING && strcmp(response, "=") == 0)
		size = 0;
	else if (s->step != STEP_NOTHING && strcmp(response, "*") == 0)
		return SASL_CANCELLED;
	len = base64_decode(response, size);
	return len == -1 ? SASL_MALFORMED :
	    s->mechanism->take(s, response, (size_t)len);
}

enum sasl_status
sasl_step(struct sasl *s, char *response)
{
	enum sasl_status status;
	size_t size;

	if (response == NULL) {
		/* Once only: the carrier has a line for each challenge. */
		if (s->step != STEP_NOTHING) {
			sasl_end(s);
			return SASL_MALFORMED;
		}
		s->step = STEP_FIRST;
		s->challenge = s->mechanism->prompt;
		return SASL_CONTINUE;
	}
	size = strlen(response);
	status = take_response(s, response, size);
	explicit_bzero(response, size);
	if (status != SASL_CONTINUE && status != SASL_DONE)
		sasl_end(s);
	return status;
}

const char *
sasl_name(const struct sasl *s)
{
	return s->mechanism->name;
}

void
sasl_end(struct sasl *s)
{
	explicit_bzero(s->name, sizeof(s->name));
	explicit_bzero(s->secret, sizeof(s->secret));
}
