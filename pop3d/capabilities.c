/*
 * capabilities: what this server can do and what a client may choose of it:
 * CAPA (RFC 2449), UTF8 and LANG (RFC 6856).
 *
 * Runs in the worker, as worker-user, confined; touches the client's
 * connection.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "login.h"
#include "session.h"

static const struct language {
	const char	*tag;
	const char	*name;		/* in itself */
} languages[] = {
	{ "en", "English" },
	{ "i-default", "English" }	/* RFC 2277, 4.5 */
};
#define LANGUAGES	(sizeof(languages) / sizeof(languages[0]))
#define SUBTAG_MAX	8		/* RFC 4647, 2.1 */

/* The site's policy as it is told to everybody (RFC 2449, 6.5 and 6.7). */
static void
list_policy(struct session *s)
{
	const struct config *config = s->worker->config;

	if (config->login_delay > 0)
		wire_printf(&s->wire, "LOGIN-DELAY %" PRIu32 "\r\n",
		    config->login_delay);
	if (config->expire > 0)
		wire_printf(&s->wire, "EXPIRE %" PRIu32 "\r\n",
		    config->expire);
	else
		wire_printf(&s->wire, "EXPIRE NEVER\r\n");
}

void
command_capa(struct session *s, const struct arguments *args)
{
	(void)args;
	wire_printf(&s->wire, "+OK capabilities\r\nTOP\r\nUIDL\r\n");
	if (login_is_allowed(s))
		wire_printf(&s->wire, "USER\r\nSASL %s\r\n",
		    sasl_mechanisms);
	/* Announced in this state only (RFC 2595, 4). */
	if (s->state == POP3_AUTHORIZATION && session_can_start_tls(s))
		wire_printf(&s->wire, "STLS\r\n");
	wire_printf(&s->wire, "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
	    "UTF8 USER\r\nLANG\r\n");
	list_policy(s);
	/* Without a version: nobody needs it before he attacks. */
	wire_printf(&s->wire, "IMPLEMENTATION Postern\r\n.\r\n");
}

/*
 * From here on names and secrets are UTF-8 or wrong, and letters that came by
 * SMTPUTF8 are sent as they are, without surrogates (surrogate.h).  Outlook
 * says it after login, too late, and gives up if that is an error (QUIRKS).
 */
void
command_utf8(struct session *s, const struct arguments *args)
{
	(void)args;
	s->is_utf8 = 1;
	wire_printf(&s->wire, "+OK UTF-8 mode\r\n");
}

/* 1*8ALPHA *("-" 1*8alphanum) */
static int
is_language_range(const char *range)
{
	size_t i, subtag = 0;

	for (i = 0; range[i] != '\0'; i++) {
		if (range[i] == '-' && subtag > 0)
			subtag = 0;
		else if (strchr("0123456789abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ", range[i]) == NULL ||
		    ++subtag > SUBTAG_MAX)
			return 0;
	}
	return subtag > 0;
}

/* The language for a range, by RFC 4647's lookup; NULL: none. */
static const struct language *
find_language(const char *range)
{
	size_t i, len;

	if (strcmp(range, "*") == 0)
		return &languages[0];
	if (!is_language_range(range))
		return NULL;
	for (i = 0; i < LANGUAGES; i++) {
		len = strlen(languages[i].tag);
		if (strncasecmp(languages[i].tag, range, len) == 0 &&
		    (range[len] == '\0' || range[len] == '-'))
			return &languages[i];
	}
	return NULL;
}

void
command_lang(struct session *s, const struct arguments *args)
{
	const struct language *language;
	size_t i;

	if (args->count == 0) {
		wire_printf(&s->wire, "+OK languages\r\n");
		for (i = 0; i < LANGUAGES; i++)
			wire_printf(&s->wire, "%s %s\r\n", languages[i].tag,
			    languages[i].name);
		wire_put(&s->wire, ".\r\n", 3);
		return;
	}
	language = find_language(args->text);
	if (language == NULL)
		wire_printf(&s->wire, "-ERR no such language\r\n");
	else
		wire_printf(&s->wire, "+OK %s texts are in English\r\n",
		    language->tag);
}
