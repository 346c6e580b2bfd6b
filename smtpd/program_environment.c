/*
 * program_environment: what a command is told of a letter.
 *
 * Runs in the agents of programs, as the user or as command-user; touches
 * memory only.
 *
 * A sender chooses what stands in an address, and there are scripts that take
 * no care: every octet that means something to a shell becomes "_" (C4), as
 * other mail servers have it.
 */
#include <stdio.h>
#include <string.h>

#include "smtpd/address.h"
#include "smtpd/programs.h"
#include "wire/utf8.h"

#define SEARCH_PATH	"/usr/bin:/bin"

static const char harmless[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    "!@%-_=+:,./";

static void
put(struct program_environment *e, const char *name, const char *value)
{
	char *text = e->text[e->count];
	int n = snprintf(text, sizeof(e->text[0]), "%s=%s", name, value);

	/* Cut, it would be something else. */
	if (n < 0 || (size_t)n >= sizeof(e->text[0]))
		return;
	e->variables[e->count++] = text;
	e->variables[e->count] = NULL;
}

static void
put_clean(struct program_environment *e, const char *name, const char *value)
{
	char text[ADDRESS_PRINT_MAX];
	int is_utf8 = utf8_is_valid(value, strlen(value));
	size_t i;

	for (i = 0; value[i] != '\0' && i + 1 < sizeof(text); i++)
		text[i] = strchr(harmless, value[i]) != NULL ||
		    (is_utf8 && (unsigned char)value[i] >= 0x80) ?
		    value[i] : '_';
	text[i] = '\0';
	put(e, name, text);
}

static void
put_recipient(struct program_environment *e, const struct program_task *t)
{
	const char *path = t->letter.forward_path;
	char delimiter = t->agent->config->recipient_delimiter;
	struct address address;
	const char *detail;

	put_clean(e, "RECIPIENT", path);
	put_clean(e, "ORIGINAL_RECIPIENT", path);
	if (address_mailbox(path, strlen(path), ADDRESS_BARE | ADDRESS_UTF8,
	    &address) != ADDRESS_OK)
		return;
	put_clean(e, "LOCAL", address.local);
	put_clean(e, "DOMAIN", address.domain);
	detail = delimiter == '\0' ? NULL : strchr(address.local, delimiter);
	if (detail != NULL && detail != address.local && detail[1] != '\0')
		put_clean(e, "EXTENSION", detail + 1);
}

void
program_environment_make(const struct program_task *t,
    struct program_environment *e)
{
	const struct identity *who = &t->agent->identity;
	const char *sender = t->letter.reverse_path;

	e->count = 0;
	e->variables[0] = NULL;
	put(e, "PATH", SEARCH_PATH);
	put(e, "SHELL", "/bin/sh");
	put(e, "HOME", who->home);
	put(e, "USER", who->name);
	put(e, "LOGNAME", who->name);
	put_clean(e, "SENDER", sender[0] != '\0' ? sender : "MAILER-DAEMON");
	put_recipient(e, t);
}
