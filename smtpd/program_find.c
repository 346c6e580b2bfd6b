/*
 * program_find: the entry that the queue means, in the file that it must stand
 * in.
 *
 * Runs in the agents of programs, as the user, whose ~/.forward it reads, or
 * as command-user, who reads the aliases file.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "smtpd/forward.h"
#include "smtpd/programs.h"

static int __attribute__((format(printf, 4, 5)))
give_up(struct deliver_verdict *v, enum delivery_verdict verdict,
    const char *status, const char *fmt, ...)
{
	va_list ap;

	v->verdict = verdict;
	v->status = status;
	va_start(ap, fmt);
	(void)vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
	return -1;
}

static int
is_meant(const struct program_task *t, const char *text)
{
	char digest[PROGRAM_DIGEST_MAX];

	program_digest(text, digest);
	return strcmp(digest, t->digest) == 0;
}

static int
find_in_forward(struct program_task *t, struct deliver_verdict *v)
{
	static struct forward f;
	size_t i;
	int r = -1;

	if (forward_read(&f, &t->agent->identity, t->agent->config) == -1) {
		forward_free(&f);
		return give_up(v, DELIVERY_DEFERRED, "4.2.1",
		    "the home can't be looked at: %s", strerror(errno));
	}
	for (i = 0; i < f.program_count && r == -1; i++)
		if (is_meant(t, f.programs[i])) {
			strlcpy(t->text, f.programs[i], sizeof(t->text));
			r = 0;
		}
	forward_free(&f);
	return r == 0 ? 0 : give_up(v, DELIVERY_GONE, "4.3.0",
	    "~/.forward has changed");
}

static int
find_in_aliases(struct programs *p, struct program_task *t,
    struct deliver_verdict *v)
{
	const struct target *target;
	const struct alias *alias;
	size_t i;

	aliases_refresh(&p->aliases);
	if (p->aliases.state == ALIASES_REFUSED)
		return give_up(v, DELIVERY_DEFERRED, "4.3.5",
		    "the aliases file can't be used");
	alias = aliases_find(&p->aliases.aliases, t->alias);
	for (i = 0; alias != NULL && !alias->is_bad && i < alias->count; i++) {
		target = aliases_target(&p->aliases.aliases, alias, i);
		if (target->kind != TARGET_PROGRAM ||
		    !is_meant(t, target->text))
			continue;
		strlcpy(t->text, target->text, sizeof(t->text));
		return 0;
	}
	return give_up(v, DELIVERY_GONE, "4.3.0",
	    "the aliases file has changed");
}

int
program_find(struct programs *p, struct program_task *t,
    struct deliver_verdict *v)
{
	return t->is_of_aliases ? find_in_aliases(p, t, v) :
	    find_in_forward(t, v);
}
