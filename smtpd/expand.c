/*
 * expand: aliases, followed to the accounts and addresses behind them.
 *
 * Runs in the queue, as queue-user; touches memory, and reads the files that
 * aliases include.  Whether an account exists is asked of login, when the
 * letter is handed out; who is in a Unix group, by groups.c, before.
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
#include "smtpd/address.h"
#include "smtpd/domain_map.h"
#include "smtpd/expand.h"

#define SEEN_SLOTS	32768	/* more than twice EXPAND_MAX */

/* A target to look at, and the one in whose alias it stood. */
struct step {
	struct target	 target;
	const char	*list;		/* as that of expand_target */
	size_t		 parent;
	int		 depth;
};

struct work {
	const struct expand_names *names;
	const struct aliases_file *file;	/* of names */
	const struct recipient	*recipient;
	struct expansion	*result;
	size_t			 group_count;
	size_t			 count;
	struct step		 steps[EXPAND_MAX];
	char			 start[ADDRESS_PRINT_MAX];	/* steps[0]'s */
	size_t			 stripped;	/* octets used of bases */
	char			 bases[EXPAND_MAX * (ACCOUNT_LIMIT + 1)];
	uint16_t		 seen[SEEN_SLOTS];	/* of the result's
							 * targets, from 1 */
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

/* FNV-1a: the names are the administrator's, and few. */
static size_t
slot_of(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash % SEEN_SLOTS;
}

static void
add_target(struct work *w, enum target_kind kind, const char *text,
    const char *list)
{
	struct expansion *r = w->result;
	struct expand_target *t;
	size_t slot = slot_of(text);

	for (; w->seen[slot] != 0; slot = (slot + 1) % SEEN_SLOTS) {
		t = &r->targets[w->seen[slot] - 1];
		if (t->kind == kind && strcmp(t->text, text) == 0)
			return;
	}
	t = &r->targets[r->count++];
	t->kind = kind;
	t->text = text;
	t->list = list;
	t->alias = NULL;
	w->seen[slot] = (uint16_t)r->count;
}

/*
 * The letter goes there with its own sender, whoever owns the list: there is
 * nobody behind it whose bounces he could want.
 */
static void
add_program(struct work *w, const char *text, const struct alias *alias)
{
	const struct config *c = w->file->config;
	size_t before = w->result->count;

	if (c == NULL || c->command_user.name[0] == '\0') {
		trouble(w, OUTCOME_DEFERRED, "4.3.5", "alias %.64s has a "
		    "command or a file, and there is no command-user",
		    alias->name);
		return;
	}
	if (before == EXPAND_MAX)
		return;
	add_target(w, TARGET_PROGRAM, text, NULL);
	if (w->result->count > before)
		w->result->targets[before].alias = alias->name;
}

static void
add_account(struct work *w, const char *name, const char *list)
{
	if (!is_account_name(name))
		trouble(w, OUTCOME_FAILED, "5.1.1", "no such account: %.64s",
		    name);
	else if (strcmp(name, "root") == 0)
		trouble(w, OUTCOME_DEFERRED, "4.2.1",
		    w->file->state == ALIASES_REFUSED ?
		    "the aliases file can't be used: %.64s waits" :
		    "mail for %.64s waits: set \"root: ACCOUNT\" in the "
		    "aliases file", name);
	else
		add_target(w, TARGET_ACCOUNT, name, list);
}

static void
add_step(struct work *w, enum target_kind kind, const char *text,
    const char *list, size_t parent)
{
	struct step *s;
	int depth = w->count > 0 ? w->steps[parent].depth + 1 : 0;

	if (w->count == EXPAND_MAX || depth > EXPAND_DEPTH) {
		trouble(w, OUTCOME_DEFERRED, "4.6.4",
		    "alias %.64s leads too far", w->steps[parent].target.text);
		return;
	}
	s = &w->steps[w->count++];
	s->target.kind = kind;
	s->target.text = text;
	s->list = list;
	s->parent = parent;
	s->depth = depth;
}

/* Is this the name of a step that led here, this one aside? */
static int
is_above(const struct work *w, size_t at, const char *name)
{
	while (at != 0) {
		at = w->steps[at].parent;
		if (strcasecmp(w->steps[at].target.text, name) == 0)
			return 1;
	}
	return 0;
}

/* Does this alias stand behind itself, further up? */
static int
is_loop(const struct work *w, size_t at)
{
	return is_above(w, at, w->steps[at].target.text);
}

/*
 * "bob+lists" is bob, so that he gets one copy of what is for both.  With
 * another delimiter, which names of accounts may well hold, login finds out.
 */
static const char *
base_of(struct work *w, const char *name)
{
	const struct config *config = w->file->config;
	char user[ADDRESS_LOCAL_LIMIT + 1];
	char *base = w->bases + w->stripped;
	size_t size;

	if (config == NULL || strchr("+=", config->recipient_delimiter) ==
	    NULL || address_without_detail(config, name, user) == -1)
		return name;
	size = strlen(user) + 1;
	if (size > sizeof(w->bases) - w->stripped)
		return name;
	memcpy(base, user, size);
	w->stripped += size;
	return base;
}

/* Without an alias: an account; the recipient's own was found by policy. */
static void
no_alias(struct work *w, size_t at)
{
	const struct recipient *r = w->recipient;
	const char *name = w->steps[at].target.text;
	const char *list = w->steps[at].list;

	if (at != 0 || r->account[0] == '\0')
		name = base_of(w, name);
	if (strcasecmp(name, "postmaster") == 0)
		add_step(w, TARGET_NAME, "root", list, at);
	else if (strcasecmp(name, "root") == 0)
		add_account(w, "root", list);
	else if (w->file->state == ALIASES_REFUSED &&
	    (at != 0 || r->account[0] == '\0'))
		trouble(w, OUTCOME_DEFERRED, "4.3.5",
		    "the aliases file can't be used: %.64s waits", name);
	else
		add_account(w, at == 0 && r->account[0] != '\0' ?
		    r->account : name, list);
}

/* An alias as it is written, else without its detail: "team+x" is team. */
static const struct alias *
find_alias(const struct work *w, const char *name)
{
	const struct aliases *aliases = &w->file->aliases;
	const struct alias *alias = aliases_find(aliases, name);
	char user[ADDRESS_LOCAL_LIMIT + 1];

	if (alias != NULL || w->file->config == NULL ||
	    address_without_detail(w->file->config, name, user) == -1)
		return alias;
	return aliases_find(aliases, user);
}

/* Does somebody own this list, who is told what becomes of its letters? */
static int
has_owner(const struct work *w, const struct alias *alias)
{
	static const char owner[] = "owner-";
	char name[ALIAS_NAME_MAX + sizeof(owner)];

	if (strncmp(alias->name, owner, sizeof(owner) - 1) == 0)
		return 0;
	snprintf(name, sizeof(name), "%s%s", owner, alias->name);
	return aliases_find(&w->file->aliases, name) != NULL;
}

/* The targets of an alias, or of an address in the map. */
static void
follow_targets(struct work *w, size_t at, const struct aliases *in,
    const struct alias *entry, const char *list)
{
	const char *name = w->steps[at].target.text;
	const struct target *t;
	size_t i;

	if (entry->is_bad || is_loop(w, at)) {
		trouble(w, OUTCOME_DEFERRED, "4.3.5", "alias %.64s %s",
		    name, entry->is_bad ? "has a mistake: see the log" :
		    "leads to itself");
		return;
	}
	for (i = 0; i < entry->count; i++) {
		t = aliases_target(in, entry, i);
		if (t->kind == TARGET_PROGRAM) {
			add_program(w, t->text, entry);
			continue;
		}
		/* "me: me, other" and "me: \me" mean the account. */
		add_step(w, t->kind == TARGET_NAME &&
		    strcasecmp(t->text, entry->name) == 0 ? TARGET_ACCOUNT :
		    t->kind, t->text, list, at);
	}
}

static void
follow_alias(struct work *w, size_t at)
{
	const struct alias *alias = find_alias(w, w->steps[at].target.text);

	if (alias == NULL)
		no_alias(w, at);
	else
		follow_targets(w, at, &w->file->aliases, alias,
		    has_owner(w, alias) ? alias->name : w->steps[at].list);
}

static enum map_answer
find_mapped(const struct work *w, const char *text,
    const struct alias **entry, const struct aliases **in)
{
	struct address address;

	if (w->names->map == NULL || address_mailbox(text, strlen(text),
	    ADDRESS_UTF8, &address) != ADDRESS_OK)
		return MAP_OTHER;
	return domain_map_find(w->names->map, address.local, address.domain,
	    entry, in);
}

/* An address with a domain: of a mapped one, or elsewhere. */
static void
follow_address(struct work *w, size_t at)
{
	const char *text = w->steps[at].target.text;
	const char *list = w->steps[at].list;
	const struct aliases *in;
	const struct alias *entry;

	switch (find_mapped(w, text, &entry, &in)) {
	case MAP_OTHER:
		add_target(w, TARGET_REMOTE, text, list);
		break;
	case MAP_FOUND:
		follow_targets(w, at, in, entry, list);
		break;
	case MAP_UNKNOWN:
		if (strncasecmp(text, "postmaster@", 11) == 0)
			add_step(w, TARGET_NAME, "postmaster", list, at);
		else
			trouble(w, OUTCOME_FAILED, "5.1.1",
			    "no such address: %.200s", text);
		break;
	case MAP_FAILED:
		trouble(w, OUTCOME_DEFERRED, "4.3.5",
		    "the domain map can't be used: mail waits");
		break;
	}
}

static void
follow_include(struct work *w, size_t at)
{
	const char *path = w->steps[at].target.text, *why;
	struct expansion *r = w->result;
	const struct alias *members;
	const struct target *t;
	struct aliases *list;
	size_t i;

	if (r->included_count == EXPAND_INCLUDES) {
		trouble(w, OUTCOME_DEFERRED, "4.6.4", "too many lists");
		return;
	}
	list = &r->included[r->included_count];
	if (aliases_include(w->file, path, list, &why) == -1) {
		w->file->report(path, 0, why);
		trouble(w, OUTCOME_DEFERRED, "4.3.5",
		    "a list of alias %.64s has a mistake: see the log",
		    w->steps[w->steps[at].parent].target.text);
		return;
	}
	r->included_count++;
	members = &list->entries[0];
	for (i = 0; i < members->count; i++) {
		t = aliases_target(list, members, i);
		add_step(w, t->kind, t->text, w->steps[at].list, at);
	}
}

/* An entry that names what is not there: where it stands is told once. */
static void
bad_group(struct work *w, size_t at, struct group *group)
{
	const struct step *in = &w->steps[w->steps[at].parent];
	const char *what = group->state == GROUP_UNKNOWN ?
	    "is unknown" : "has too many members";
	const char *path = w->file->path;
	const struct alias *entry = NULL;
	const struct aliases *list;
	char text[ACCOUNT_LIMIT + 64];

	snprintf(text, sizeof(text), "group %s %s", group->name, what);
	if (in->target.kind == TARGET_INCLUDE)
		path = in->target.text;
	else if (in->target.kind == TARGET_NAME)
		entry = find_alias(w, in->target.text);
	else if (find_mapped(w, in->target.text, &entry, &list) == MAP_FOUND)
		path = w->names->map->path;
	if (!group->is_told)
		w->file->report(path, entry != NULL ? entry->line : 0, text);
	group->is_told = 1;
	trouble(w, OUTCOME_DEFERRED, "4.3.5", "%s", text);
}

static void
follow_group(struct work *w, size_t at)
{
	const char *name = w->steps[at].target.text, *member = NULL;
	struct group *group = NULL;

	if (w->names->groups != NULL && w->group_count < EXPAND_GROUPS)
		group = groups_get(w->names->groups, name, w->names->now);
	w->group_count++;
	if (group == NULL || group->state == GROUP_FAILED)
		trouble(w, OUTCOME_DEFERRED, "4.3.0",
		    "can't tell now who is in group %.64s", name);
	else if (group_is_awaited(group))
		w->result->awaited = group;
	else if (group->state == GROUP_KNOWN)
		member = group_next(group, NULL);
	else
		bad_group(w, at, group);
	/* A member's mail goes where that goes; but "ann: :group:g" with ann
	 * in it means the account. */
	while (member != NULL) {
		add_step(w, is_above(w, at, member) ? TARGET_ACCOUNT :
		    TARGET_NAME, member, w->steps[at].list, at);
		member = group_next(group, member);
	}
}

static void
follow(struct work *w, size_t at)
{
	const struct target *t = &w->steps[at].target;
	const char *list = w->steps[at].list;

	switch (t->kind) {
	case TARGET_NAME:
		follow_alias(w, at);
		break;
	case TARGET_ACCOUNT:
		add_account(w, base_of(w, t->text), list);
		break;
	case TARGET_REMOTE:
		follow_address(w, at);
		break;
	case TARGET_NOTHING:
		w->result->is_thrown_away = 1;
		break;
	case TARGET_INCLUDE:
		follow_include(w, at);
		break;
	case TARGET_GROUP:
		follow_group(w, at);
		break;
	case TARGET_PROGRAM:	/* added by its alias */
		break;
	}
}

void
expand_free(struct expansion *r)
{
	size_t i;

	for (i = 0; i < r->included_count; i++)
		aliases_free(&r->included[i]);
	r->included_count = r->count = 0;
	r->trouble = 0;
	r->is_thrown_away = 0;
	r->awaited = NULL;
}

/*
 * The recipient itself.  An address of the map is one; another one of a domain
 * that is ours is a name.
 */
static void
begin(struct work *w)
{
	const struct recipient *r = w->recipient;
	const struct config *config = w->file->config;
	struct address address;
	const struct aliases *in;
	const struct alias *entry;
	int is_ours = config == NULL || r->domain[0] == '\0' ||
	    r->account[0] != '\0' || config_is_local_domain(config, r->domain);
	enum map_answer answer = w->names->map == NULL ? MAP_OTHER :
	    domain_map_find(w->names->map, r->local, r->domain, &entry, &in);

	strlcpy(address.local, r->local, sizeof(address.local));
	strlcpy(address.domain, r->domain, sizeof(address.domain));
	if ((answer == MAP_FOUND || (answer != MAP_OTHER && !is_ours)) &&
	    address_print(&address, w->start, sizeof(w->start)) == 0)
		add_step(w, TARGET_REMOTE, w->start, NULL, 0);
	else
		add_step(w, TARGET_NAME, r->local, NULL, 0);
}

void
expand(const struct expand_names *names, const struct recipient *recipient,
    struct expansion *result)
{
	static struct work w;	/* too large for a stack; nothing nests here */
	size_t at;

	w.names = names;
	w.file = names->aliases;
	w.recipient = recipient;
	w.result = result;
	w.group_count = w.count = w.stripped = 0;
	memset(w.seen, 0, sizeof(w.seen));
	expand_free(result);
	begin(&w);
	/* What is awaited is asked for all at once. */
	for (at = 0; at < w.count; at++)
		follow(&w, at);
	/* Whoever gets nothing must not be taken for one who has it. */
	if (result->count == 0 && result->trouble == 0 &&
	    !result->is_thrown_away)
		trouble(&w, OUTCOME_DEFERRED, "4.3.5",
		    "%.64s leads to nobody", recipient->local);
}
