/*
 * relay_auth: AUTH PLAIN (RFC 4616, RFC 4954) and LOGIN, the client's side.
 *
 * Runs in the relay's children, as relay-user, confined; touches the
 * connection to the remote host.  A secret goes out under TLS only, and is
 * wiped wherever it was.
 *
 * A refusal is a temporary failure: it is not the sender's fault when what the
 * administrator wrote is wrong, and the mail is good when that is mended.
 */
#include <stdint.h>
#include <string.h>

#include "relay.h"

#define RESPONSE_MAX	(RELAY_USER_MAX + RELAY_SECRET_MAX + 2)
#define ENCODED_MAX	((RESPONSE_MAX + 2) / 3 * 4 + 1)
/* "AUTH PLAIN " and it must fit into a line of RFC 4954 section 4. */
#define INITIAL_MAX	(512 - 13)

static void
base64(char *out, const uint8_t *p, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits;
	size_t i, n;

	for (i = 0; i < len; i += 3) {
		n = len - i < 3 ? len - i : 3;
		bits = (uint32_t)p[i] << 16;
		if (n > 1)
			bits |= (uint32_t)p[i + 1] << 8;
		if (n > 2)
			bits |= p[i + 2];
		*out++ = digits[bits >> 18];
		*out++ = digits[bits >> 12 & 63];
		*out++ = n > 1 ? digits[bits >> 6 & 63] : '=';
		*out++ = n > 2 ? digits[bits & 63] : '=';
	}
	*out = '\0';
}

/* No identity to act for: NUL user NUL secret. */
static void
plain_response(const struct relay_host *host, char encoded[ENCODED_MAX])
{
	uint8_t response[RESPONSE_MAX];
	size_t user = strlen(host->user), secret = strlen(host->secret);

	response[0] = '\0';
	memcpy(response + 1, host->user, user);
	response[1 + user] = '\0';
	memcpy(response + 2 + user, host->secret, secret);
	base64(encoded, response, 2 + user + secret);
	explicit_bzero(response, sizeof(response));
}

/* Says a line that holds a secret, and leaves none of it; for an answer. */
static int
say_and_wipe(struct relay *r, const char *before, char *encoded)
{
	int heard;

	relay_say(r, "%s%s", before, encoded);
	explicit_bzero(encoded, strlen(encoded));
	heard = relay_hear(r, RELAY_COMMAND_MINUTES);
	explicit_bzero(r->wire.out, ENCODED_MAX + 16);
	return heard;
}

/* Is the answer "go on"? */
static int
asks(const struct relay *r)
{
	return r->reply.code == 334;
}

static void
try_plain(struct relay *r)
{
	char encoded[ENCODED_MAX];

	plain_response(&r->host, encoded);
	if (strlen(encoded) <= INITIAL_MAX) {
		(void)say_and_wipe(r, "AUTH PLAIN ", encoded);
		return;
	}
	relay_say(r, "AUTH PLAIN");
	if (relay_hear(r, RELAY_COMMAND_MINUTES) == 0 && asks(r))
		(void)say_and_wipe(r, "", encoded);
	explicit_bzero(encoded, sizeof(encoded));
}

static void
try_login(struct relay *r)
{
	char encoded[ENCODED_MAX];

	relay_say(r, "AUTH LOGIN");
	if (relay_hear(r, RELAY_COMMAND_MINUTES) == -1 || !asks(r))
		return;
	base64(encoded, (const uint8_t *)r->host.user, strlen(r->host.user));
	if (say_and_wipe(r, "", encoded) == -1 || !asks(r))
		return;
	base64(encoded, (const uint8_t *)r->host.secret,
	    strlen(r->host.secret));
	(void)say_and_wipe(r, "", encoded);
}

enum relay_verdict
relay_authenticate(struct relay *r)
{
	if (r->tls[0] == '\0') {
		reply_make(&r->reply, "4.7.11",
		    "no TLS, and a password never goes in the clear");
		return RELAY_DEFER;
	}
	if ((r->extensions.mechanisms & RELAY_AUTH_PLAIN) != 0)
		try_plain(r);
	else if ((r->extensions.mechanisms & RELAY_AUTH_LOGIN) != 0)
		try_login(r);
	else {
		reply_make(&r->reply, "4.7.0",
		    "the host offers neither AUTH PLAIN nor AUTH LOGIN");
		return RELAY_DEFER;
	}
	if (reply_is_good(&r->reply))
		return RELAY_READY;
	if (asks(r))
		relay_end(r, "4.5.0", "the host asks on in AUTH");
	reply_soften(&r->reply);
	return RELAY_DEFER;
}
