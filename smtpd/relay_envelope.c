/*
 * relay_envelope: what of a letter's envelope a host can take, and how it is
 * told: the parameters of MAIL and RCPT (RFC 1870, RFC 6152, RFC 6531, RFC
 * 3030, RFC 3461).
 *
 * Runs in the relay's children, as relay-user, confined; writes to the wire.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "relay.h"

int
relay_has(const struct relay *r, uint32_t extension)
{
	return (r->extensions.has & extension) != 0;
}

int
relay_is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text > 127)
			return 0;
	return 1;
}

int
relay_needs_utf8(const struct relay_letter *letter)
{
	return !relay_is_ascii(letter->reverse_path) ||
	    ((letter->flags & MAIL_SMTPUTF8) != 0 && letter->has_8bit_header);
}

/* 0, or -1 with the reason as our reply: this host can't take this letter. */
int
relay_fits(struct relay *r, const struct relay_letter *letter)
{
	if (relay_needs_utf8(letter) && !relay_has(r, RELAY_HAS_SMTPUTF8))
		reply_make(&r->reply, "5.6.7",
		    "the host does not take SMTPUTF8, which this letter needs");
	else if (letter->has_8bit && !relay_has(r, RELAY_HAS_8BITMIME))
		reply_make(&r->reply, "5.6.3",
		    "the host does not take 8BITMIME, and letters are not "
		    "converted here");
	else if (r->extensions.size_limit != 0 &&
	    letter->octets > r->extensions.size_limit)
		reply_make(&r->reply, "5.3.4",
		    "the letter has %" PRIu64 " octets, and the host takes "
		    "%" PRIu64, letter->octets, r->extensions.size_limit);
	else
		return 0;
	return -1;
}

void
relay_say_mail(struct relay *r, const struct relay_letter *letter, int is_utf8)
{
	char size[32] = "";
	const char *body = "", *ret = "";
	int has_dsn = relay_has(r, RELAY_HAS_DSN);

	if (relay_has(r, RELAY_HAS_SIZE))
		snprintf(size, sizeof(size), " SIZE=%" PRIu64, letter->octets);
	if (letter->has_8bit)
		body = " BODY=8BITMIME";
	if (has_dsn && letter->ret != 0)
		ret = letter->ret == RET_FULL ? " RET=FULL" : " RET=HDRS";
	relay_say(r, "MAIL FROM:<%s>%s%s%s%s%s%s", letter->reverse_path, size,
	    body, is_utf8 ? " SMTPUTF8" : "", ret,
	    has_dsn && letter->envid[0] != '\0' ? " ENVID=" : "",
	    has_dsn ? letter->envid : "");
}

static void
notify_text(uint32_t notify, char text[64])
{
	static const struct {
		uint32_t	 bit;
		const char	*name;
	} names[] = {
		{ NOTIFY_NEVER, "NEVER" },
		{ NOTIFY_SUCCESS, "SUCCESS" },
		{ NOTIFY_FAILURE, "FAILURE" },
		{ NOTIFY_DELAY, "DELAY" },
	};
	const char *before = " NOTIFY=";
	size_t i;

	text[0] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((notify & names[i].bit) == 0)
			continue;
		strlcat(text, before, 64);
		strlcat(text, names[i].name, 64);
		before = ",";
	}
}

/* The character at p, which is UTF-8 and not ASCII; *len is its length. */
static unsigned
character_at(const char *p, size_t *len)
{
	const unsigned char *u = (const unsigned char *)p;
	unsigned c = *u < 0xe0 ? *u & 0x1fU : *u < 0xf0 ? *u & 0x0fU :
	    *u & 0x07U;
	size_t i;

	*len = *u < 0xe0 ? 2 : *u < 0xf0 ? 3 : 4;
	for (i = 1; i < *len; i++)
		c = c << 6 | (u[i] & 0x3fU);
	return c;
}

/*
 * Where SMTPUTF8 is not said, "\x{FC}" stands for what is beyond ASCII (RFC 6533
 * section 3).  What gets too long is not said at all.
 */
static void
plain_orcpt(const char *orcpt, char plain[RELAY_ORCPT_MAX])
{
	size_t n = 0, len;

	for (; *orcpt != '\0'; orcpt += len) {
		if (n + sizeof("\\x{10FFFF}") > RELAY_ORCPT_MAX) {
			n = 0;
			break;
		}
		len = 1;
		if ((unsigned char)*orcpt < 0x80)
			plain[n++] = *orcpt;
		else
			n += (size_t)snprintf(plain + n, RELAY_ORCPT_MAX - n,
			    "\\x{%X}", character_at(orcpt, &len));
	}
	plain[n] = '\0';
}

void
relay_say_rcpt(struct relay *r, const struct relay_to *to, int is_utf8)
{
	char notify[64] = "", orcpt[RELAY_ORCPT_MAX] = "";

	if (relay_has(r, RELAY_HAS_DSN)) {
		notify_text(to->notify, notify);
		if (is_utf8 || relay_is_ascii(to->orcpt))
			strlcpy(orcpt, to->orcpt, sizeof(orcpt));
		else
			plain_orcpt(to->orcpt, orcpt);
	}
	relay_say(r, "RCPT TO:<%s>%s%s%s", to->path, notify,
	    orcpt[0] != '\0' ? " ORCPT=" : "", orcpt);
}
