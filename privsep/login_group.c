/*
 * login_group: who is in a Unix group, of those who may have mail.
 *
 * Runs in login's children, as root; asks NSS.
 *
 * A group's entry names its members but not those whose primary group it is:
 * for these all accounts are looked through, once.  That also says who most of
 * the members are; only those whom NSS does not enumerate (a directory on the
 * network, as a rule) are looked up one by one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "login.h"
#include "login_gate.h"
#include "nss.h"

#define GROUP_BUFFER_MAX	(4 * 1024 * 1024)
#define ACCOUNTS_MAX		1000000		/* looked through */

/* A name in the group's entry. */
struct listed {
	const char	*name;
	int		 is_done;	/* came by in the enumeration */
};

struct search {
	const struct config	*config;
	gid_t			 gid;
	struct listed		*listed;	/* sorted */
	size_t			 listed_count;
	struct members		*members;
};

/* The group's entry with its strings in *buf, the caller's to free. */
static enum nss_status
find_group(const char *name, struct group *gr, char **buf)
{
	enum nss_status status = NSS_FAILED;
	size_t size;

	*buf = NULL;
	for (size = NSS_BUFFER; size <= GROUP_BUFFER_MAX; size *= 4) {
		free(*buf);
		*buf = malloc(size);
		if (*buf == NULL)
			return NSS_FAILED;
		status = nss_find_group(name, gr, *buf, size);
		if (status != NSS_FAILED || errno != ERANGE)
			break;
	}
	return status;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct listed *)a)->name,
	    ((const struct listed *)b)->name);
}

/* Sorted, each once. */
static int
take_listed(struct search *s, char *const *names)
{
	struct listed *l;
	size_t i, n = 0;

	while (names[n] != NULL)
		n++;
	l = s->listed = calloc(n + 1, sizeof(*l));
	if (l == NULL)
		return -1;
	for (i = 0; i < n; i++)
		l[i].name = names[i];
	qsort(l, n, sizeof(*l), by_name);
	for (i = 0; i < n; i++)
		if (i == 0 || strcmp(l[i].name, l[i - 1].name) != 0)
			l[s->listed_count++].name = l[i].name;
	return 0;
}

static struct listed *
find_listed(const struct search *s, const char *name)
{
	const struct listed key = { .name = name };

	return bsearch(&key, s->listed, s->listed_count, sizeof(key),
	    by_name);
}

/* Whoever can't have mail is no member to us. */
static enum account_status
add_member(struct search *s, const struct passwd *pw)
{
	struct members *m = s->members;
	struct identity who;
	size_t len, room;
	char *names;

	if (account_judge(s->config, pw, &who) != ACCOUNT_OK)
		return ACCOUNT_OK;
	if (m->count == MEMBERS_MAX)
		return ACCOUNT_REFUSED;
	len = strlen(who.name) + 1;
	if (m->size + len > m->room) {
		room = m->room * 2 + 4096;
		names = realloc(m->names, room);
		if (names == NULL)
			return ACCOUNT_TEMPFAIL;
		m->names = names;
		m->room = room;
	}
	memcpy(m->names + m->size, who.name, len);
	m->size += len;
	m->count++;
	return ACCOUNT_OK;
}

/* One of all accounts: is it a member? */
static enum account_status
consider(struct search *s, const struct passwd *pw)
{
	struct listed *l = find_listed(s, pw->pw_name);

	if (l == NULL)
		return pw->pw_gid == s->gid ? add_member(s, pw) : ACCOUNT_OK;
	/* Of two entries with one name the first counts, as in a look-up. */
	if (l->is_done)
		return ACCOUNT_OK;
	l->is_done = 1;
	return add_member(s, pw);
}

static enum account_status
enumerate(struct search *s)
{
	static char buf[NSS_BUFFER];
	enum account_status status = ACCOUNT_OK;
	struct passwd pw, *found;
	size_t n;
	int error = 0;

	setpwent();
	for (n = 0; n < ACCOUNTS_MAX && status == ACCOUNT_OK; n++) {
		error = getpwent_r(&pw, buf, sizeof(buf), &found);
		if (error != 0 || found == NULL)
			break;
		status = consider(s, &pw);
	}
	endpwent();
	if (status != ACCOUNT_OK)
		return status;
	/* Not one account, not even root's: that was no answer. */
	return n > 0 && n < ACCOUNTS_MAX && (error == 0 || error == ENOENT) ?
	    ACCOUNT_OK : ACCOUNT_TEMPFAIL;
}

/* Those in the entry who did not come by. */
static enum account_status
look_up_rest(struct search *s)
{
	static char buf[NSS_BUFFER];
	enum account_status status = ACCOUNT_OK;
	struct listed *l;
	struct passwd pw;
	size_t i;

	for (i = 0; i < s->listed_count && status == ACCOUNT_OK; i++) {
		l = &s->listed[i];
		if (l->is_done)
			continue;
		switch (nss_find(l->name, &pw, buf, sizeof(buf))) {
		case NSS_FOUND:
			status = add_member(s, &pw);
			break;
		case NSS_UNKNOWN:
			break;		/* left over from an account */
		case NSS_FAILED:
			status = ACCOUNT_TEMPFAIL;
		}
	}
	return status;
}

enum account_status
group_members(const struct config *config, const char *group,
    struct members *members)
{
	struct search s = { .config = config, .members = members };
	enum account_status status = ACCOUNT_TEMPFAIL;
	struct group gr;
	char *buf;

	memset(members, 0, sizeof(*members));
	switch (find_group(group, &gr, &buf)) {
	case NSS_FOUND:
		s.gid = gr.gr_gid;
		if (take_listed(&s, gr.gr_mem) == 0)
			status = enumerate(&s);
		if (status == ACCOUNT_OK)
			status = look_up_rest(&s);
		break;
	case NSS_UNKNOWN:
		status = ACCOUNT_UNKNOWN;
		break;
	case NSS_FAILED:
		break;
	}
	free(s.listed);
	free(buf);
	return status;
}
