/*
 * relay_greeting: greeting, EHLO or HELO, STARTTLS (RFC 3207) and AUTH: what
 * comes before the first letter.
 *
 * Runs in the relay's children, as relay-user, confined; touches the
 * connection to the remote host.
 */
#include <stdio.h>
#include <string.h>

#include "../wire/tls_client.h"
#include "relay.h"

#define GREETING_MINUTES	18	/* for all of it; the queue has 20 */

/*
 * What an answer before any letter is about is the host, not a recipient: a
 * refusal for good sends the queue to the next one.
 */
static enum relay_verdict
judge(struct relay *r)
{
	if (reply_is_good(&r->reply))
		return RELAY_READY;
	if (r->reply.code / 100 == 3)
		relay_end(r, "4.5.0", "what the host says is not SMTP");
	return r->reply.code / 100 == 5 ? RELAY_FAIL : RELAY_DEFER;
}

static enum relay_verdict
await_greeting(struct relay *r)
{
	if (relay_hear(r, RELAY_COMMAND_MINUTES) == -1)
		return RELAY_DEFER;
	/*
	 * Hosts are known to greet so when they are overloaded, or take a
	 * client for a spammer's for a while: nothing was asked yet, so
	 * nothing is refused for good.
	 */
	if (r->reply.code / 100 == 5) {
		reply_soften(&r->reply);
		return RELAY_DEFER;
	}
	return judge(r);
}

/* What was known of the host is forgotten. */
static enum relay_verdict
say_hello(struct relay *r)
{
	int is_lmtp = r->host.protocol == RELAY_LMTP;

	relay_say(r, "%s %s", is_lmtp ? "LHLO" : "EHLO", r->host.helo);
	if (relay_hear_ehlo(r, RELAY_COMMAND_MINUTES) == -1)
		return RELAY_DEFER;
	if (reply_is_good(&r->reply)) {
		r->extensions.has |= RELAY_HAS_ESMTP;
		return RELAY_READY;
	}
	extensions_forget(&r->extensions);
	if (is_lmtp || r->reply.code / 100 != 5)
		return judge(r);
	/* RFC 5321 section 3.2: a host that does not know EHLO */
	relay_say(r, "HELO %s", r->host.helo);
	if (relay_hear(r, RELAY_COMMAND_MINUTES) == -1)
		return RELAY_DEFER;
	return judge(r);
}

/* Without TLS, which was wanted: a verdict by how much. */
static enum relay_verdict
go_without(struct relay *r)
{
	if (r->is_over)
		return RELAY_DEFER;
	if (r->host.tls == RELAY_TLS_MAY)
		return RELAY_READY;
	if (r->reply.code == 0 || reply_is_good(&r->reply))
		reply_make(&r->reply, "4.7.4",
		    "TLS is required, and the host does not offer it");
	else
		reply_soften(&r->reply);
	return RELAY_DEFER;
}

static enum relay_verdict
shake(struct relay *r)
{
	int must_verify = r->host.tls == RELAY_TLS_VERIFY;
	char why[RELAY_TEXT_MAX];

	/* Not its own certificate only: who listens may have said it (C2). */
	if (wire_buffered(&r->wire) > 0) {
		relay_end(r, "4.7.0", "octets behind the reply to STARTTLS");
		return RELAY_DEFER;
	}
	if (tls_connect(&r->wire, r->host.name, must_verify,
	    (int)(RELAY_DATA_MINUTES * r->minute_ms)) == WIRE_OK) {
		r->is_verified = tls_is_verified();
		tls_describe(&r->wire, r->tls);
		return RELAY_READY;
	}
	if (must_verify && tls_verify_error()[0] != '\0')
		snprintf(why, sizeof(why), "TLS failed: %s (%s)", tls_error(),
		    tls_verify_error());
	else
		snprintf(why, sizeof(why), "TLS failed: %s", tls_error());
	relay_end(r, must_verify ? "4.7.5" : "4.7.0", why);
	return r->host.tls == RELAY_TLS_MAY ? RELAY_NO_TLS : RELAY_DEFER;
}

/* As RFC 3207 section 4.2: what was offered in the clear counts no more. */
static enum relay_verdict
secure(struct relay *r)
{
	enum relay_verdict verdict;

	if ((r->extensions.has & RELAY_HAS_STARTTLS) == 0)
		return go_without(r);
	relay_say(r, "STARTTLS");
	if (relay_hear(r, RELAY_DATA_MINUTES) == -1)
		return RELAY_DEFER;
	if (!reply_is_good(&r->reply))
		return go_without(r);
	verdict = shake(r);
	return verdict == RELAY_READY ? say_hello(r) : verdict;
}

enum relay_verdict
relay_greet(struct relay *r)
{
	enum relay_verdict verdict;

	relay_limit(r, GREETING_MINUTES);
	verdict = await_greeting(r);
	if (verdict == RELAY_READY)
		verdict = say_hello(r);
	if (verdict == RELAY_READY && r->host.tls != RELAY_TLS_NONE)
		verdict = secure(r);
	if (verdict == RELAY_READY && r->host.user[0] != '\0')
		verdict = relay_authenticate(r);
	if (verdict == RELAY_READY && r->is_over)	/* 421 */
		verdict = RELAY_DEFER;
	explicit_bzero(r->host.secret, sizeof(r->host.secret));
	return verdict;
}
