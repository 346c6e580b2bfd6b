/*
 * expand: aliases, followed to the accounts behind them.
 *
 * Runs in the queue, as queue-user; touches nothing but memory.  Whether an
 * account exists is asked of login, when the letter is handed out.
 *
 * root and postmaster are special: they may be mailed on every host (RFC 5321
 * section 4.5.1), nothing is ever delivered as uid 0, and so their mail waits
 * until the aliases file says who reads it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "smtpd/account.h"
#include "smtpd/expand.h"

/* A name to look at, and the one whose alias it stood in. */
struct step {
	const char	*name;
	size_t		 parent;
	int		 depth;
	int		 is_account;	/* do not look for an alias */
};

struct work {
	const struct aliases_file *file;
	const struct recipient	*recipient;
	struct expansion	*result;
	size_t			 count;
	struct step		 steps[EXPAND_MAX];
};

/* The first trouble is told; a deferral outweighs a failure. */
static void __attribute__((format(printf, 4, 5)))
trouble(struct work *w, enum outcome_kind kind, const char *status,
    const char *fmt, ...)
{
	struct expansion *r = w->result;
	va_list ap;

	if (r->trouble == OUTCOME_DEFERRED || r->trouble == kind)
		return;
	r->trouble = kind;
	strlcpy(r->status, status, sizeof(r->status));
	/* Cut rather than lost: it is for people. */
	va_start(ap, fmt);
	(void)vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
}

static void
add_account(struct work *w, const char *name)
{
	struct expansion *r = w->result;
	size_t i;

	if (!is_account_name(name)) {
		trouble(w, OUTCOME_FAILED, "5.1.1", "no such account: %.64s",
		    name);
		return;
	}
	if (strcmp(name, "root") == 0) {
		trouble(w, OUTCOME_DEFERRED, "4.2.1",
		    w->file->state == ALIASES_REFUSED ?
		    "the aliases file can't be used: %.64s waits" :
		    "mail for %.64s waits: set \"root: ACCOUNT\" in the "
		    "aliases file", name);
		return;
	}
	for (i = 0; i < r->count; i++)
		if (strcmp(r->accounts[i], name) == 0)
			return;
	r->accounts[r->count++] = name;
}

static void
add_step(struct work *w, const char *name, size_t parent, int is_account)
{
	struct step *s;
	int depth = w->count > 0 ? w->steps[parent].depth + 1 : 0;

	if (w->count == EXPAND_MAX || depth > EXPAND_DEPTH) {
		trouble(w, OUTCOME_DEFERRED, "4.6.4",
		    "alias %.64s leads too far", name);
		return;
	}
	s = &w->steps[w->count++];
	s->name = name;
	s->parent = parent;
	s->depth = depth;
	s->is_account = is_account;
}

/* Does this alias stand behind itself, further up? */
static int
is_loop(const struct work *w, size_t at)
{
	size_t i = at;

	while (i != 0) {
		i = w->steps[i].parent;
		if (strcasecmp(w->steps[i].name, w->steps[at].name) == 0)
			return 1;
	}
	return 0;
}

/* Without an alias: an account; the recipient's own was found by policy. */
static void
no_alias(struct work *w, size_t at)
{
	const struct recipient *r = w->recipient;
	const char *name = w->steps[at].name;

	if (strcasecmp(name, "postmaster") == 0)
		add_step(w, "root", at, 0);
	else if (strcasecmp(name, "root") == 0)
		add_account(w, "root");
	else if (w->file->state == ALIASES_REFUSED &&
	    (at != 0 || r->account[0] == '\0'))
		trouble(w, OUTCOME_DEFERRED, "4.3.5",
		    "the aliases file can't be used: %.64s waits", name);
	else
		add_account(w, at == 0 && r->account[0] != '\0' ?
		    r->account : name);
}

static void
follow(struct work *w, size_t at)
{
	const struct step *s = &w->steps[at];
	const struct alias *alias;
	const char *target;
	size_t i;

	if (s->is_account) {
		add_account(w, s->name);
		return;
	}
	alias = aliases_find(&w->file->aliases, s->name);
	if (alias == NULL) {
		no_alias(w, at);
		return;
	}
	if (alias->is_bad || is_loop(w, at)) {
		trouble(w, OUTCOME_DEFERRED, "4.3.5", "alias %.64s %s",
		    s->name, alias->is_bad ? "has a mistake: see the log" :
		    "leads to itself");
		return;
	}
	for (i = 0; i < alias->count; i++) {
		target = aliases_target(&w->file->aliases, alias, i);
		/* "me: me, other" and "me: \me" mean the account. */
		if (target[0] == '\\')
			add_step(w, target + 1, at, 1);
		else
			add_step(w, target, at,
			    strcasecmp(target, s->name) == 0);
	}
}

void
expand(const struct aliases_file *file, const struct recipient *recipient,
    struct expansion *result)
{
	static struct work w;	/* too large for a stack; nothing nests here */
	size_t at;

	w.file = file;
	w.recipient = recipient;
	w.result = result;
	w.count = 0;
	result->count = 0;
	result->trouble = 0;
	add_step(&w, recipient->local, 0, 0);
	for (at = 0; at < w.count; at++)
		follow(&w, at);
	/* Whoever gets nothing must not be taken for one who has it. */
	if (result->count == 0 && result->trouble == 0)
		trouble(&w, OUTCOME_DEFERRED, "4.3.5",
		    "%.64s leads to nobody", recipient->local);
}
