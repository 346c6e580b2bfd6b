/*
 * groups: login's answers about Unix groups, asked for and kept for a while.
 *
 * Runs in the queue, as queue-user; touches the channels that the master made.
 *
 * A group that could not be asked is never one without members: mail for it
 * waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/login_gate.h"
#include "privsep/message.h"
#include "smtpd/groups.h"

#define GOOD_MS		60000	/* who is in a group holds so long */
#define WRONG_MS	10000	/* and what is wrong so long */
#define ASK_MS		60000	/* the master answers at once or is gone */
#define LIST_MS		120000	/* login: NSS may be slow */
#define AGAIN_MS	1000	/* when the master is busy */
#define NAMES_MAX	(MEMBERS_MAX * (ACCOUNT_LIMIT + 1))

struct group_waiter {
	STAILQ_ENTRY(group_waiter) link;
	struct spool_name	 name;
};

void
groups_init(struct groups *g, const struct handout_ops *ops, void *arg)
{
	memset(g, 0, sizeof(*g));
	g->ops = ops;
	g->arg = arg;
	g->next_tag = GROUPS_TAG;
	TAILQ_INIT(&g->list);
}

int
group_is_awaited(const struct group *group)
{
	return group->state == GROUP_ASKING || group->state == GROUP_LISTING;
}

const char *
group_next(const struct group *group, const char *member)
{
	const char *next = member == NULL ? group->members :
	    member + strlen(member) + 1;

	return group->state != GROUP_KNOWN || group->size == 0 ||
	    next == group->members + group->size ? NULL : next;
}

static struct group *
find(const struct groups *g, const char *name)
{
	struct group *group;

	TAILQ_FOREACH(group, &g->list, link)
		if (strcmp(group->name, name) == 0)
			return group;
	return NULL;
}

static void
forget_members(struct group *group)
{
	free(group->members);
	group->members = NULL;
	group->size = group->room = 0;
}

static void
drop(struct groups *g, struct group *group)
{
	TAILQ_REMOVE(&g->list, group, link);
	g->count--;
	if (group->fd != -1)
		close(group->fd);
	forget_members(group);
	free(group);
}

/* One that nobody has asked for lately makes room. */
static void
evict(struct groups *g, uint64_t now)
{
	struct group *group;

	TAILQ_FOREACH(group, &g->list, link)
		if (!group_is_awaited(group) && group->when <= now)
			break;
	if (group != NULL)
		drop(g, group);
}

static struct group *
add(struct groups *g, const char *name, uint64_t now)
{
	struct group *group;

	if (g->count == GROUPS_MAX)
		evict(g, now);
	if (g->count == GROUPS_MAX)
		return NULL;
	group = calloc(1, sizeof(*group));
	if (group == NULL)
		return NULL;
	if (strlcpy(group->name, name, sizeof(group->name)) >=
	    sizeof(group->name)) {
		free(group);
		return NULL;
	}
	STAILQ_INIT(&group->waiters);
	group->state = GROUP_FAILED;
	group->fd = -1;
	TAILQ_INSERT_TAIL(&g->list, group, link);
	g->count++;
	return group;
}

struct group *
groups_get(struct groups *g, const char *name, uint64_t now)
{
	struct group *group = find(g, name);

	if (group == NULL)
		group = add(g, name, now);
	if (group == NULL || group_is_awaited(group) || group->when > now)
		return group;
	forget_members(group);
	group->state = GROUP_ASKING;
	group->when = 0;
	return group;
}

int
groups_park(struct group *group, const struct spool_name *name)
{
	struct group_waiter *w = malloc(sizeof(*w));

	if (w == NULL)
		return -1;
	w->name = *name;
	STAILQ_INSERT_TAIL(&group->waiters, w, link);
	return 0;
}

static void
unpark(struct groups *g, struct group *group, int tell)
{
	struct group_waiter *w;

	while ((w = STAILQ_FIRST(&group->waiters)) != NULL) {
		STAILQ_REMOVE_HEAD(&group->waiters, link);
		if (tell)
			g->ops->unpark(g->arg, &w->name);
		free(w);
	}
}

void
groups_forget_parked(struct groups *g)
{
	struct group *group;

	TAILQ_FOREACH(group, &g->list, link)
		unpark(g, group, 0);
}

void
groups_free(struct groups *g)
{
	struct group *group;

	groups_forget_parked(g);
	while ((group = TAILQ_FIRST(&g->list)) != NULL)
		drop(g, group);
}

int
groups_is_idle(const struct groups *g)
{
	const struct group *group;

	TAILQ_FOREACH(group, &g->list, link)
		if (group_is_awaited(group))
			return 0;
	return 1;
}

/* The talk is over, one way or the other: the letters come again. */
static void
conclude(struct groups *g, struct group *group, enum group_state state,
    uint64_t now)
{
	if (group->state == GROUP_LISTING)
		g->channels--;
	if (group->fd != -1)
		close(group->fd);
	group->fd = -1;
	group->state = state;
	group->when = now + (state == GROUP_KNOWN ? GOOD_MS : WRONG_MS);
	if (state != GROUP_KNOWN)
		forget_members(group);
	else
		group->is_told = 0;
	unpark(g, group, 1);
}

void
groups_ask(struct groups *g, uint64_t now)
{
	struct group *group;

	TAILQ_FOREACH(group, &g->list, link) {
		if (g->channels == GROUPS_CHANNELS)
			return;
		if (group->state != GROUP_ASKING || group->when > now)
			continue;
		if (g->ops->need(g->arg, g->next_tag) == -1) {
			group->when = now + AGAIN_MS;
			continue;
		}
		group->tag = g->next_tag++;
		group->state = GROUP_LISTING;
		group->when = now + ASK_MS;
		g->channels++;
	}
}

static int
send_request(const struct group *group)
{
	struct message m;

	message_begin(&m, REQ_MEMBERS);
	put_str(&m, group->name);
	return message_send(group->fd, &m);
}

int
groups_channel(struct groups *g, uint64_t tag, int fd, uint64_t now)
{
	struct group *group;

	if ((tag & GROUPS_TAG) == 0)
		return 0;
	TAILQ_FOREACH(group, &g->list, link)
		if (group->state == GROUP_LISTING && group->tag == tag &&
		    group->fd == -1)
			break;
	if (group == NULL) {
		if (fd != -1)
			close(fd);
		return 1;
	}
	group->fd = fd;
	group->when = now + LIST_MS;
	if (fd == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1 ||
	    send_request(group) == -1)
		conclude(g, group, GROUP_FAILED, now);
	return 1;
}

size_t
groups_poll(struct groups *g, struct pollfd *pfd)
{
	struct group *group;
	size_t n = 0;

	TAILQ_FOREACH(group, &g->list, link) {
		if (group->fd == -1)
			continue;
		g->watching[n] = group;
		pfd[n].fd = group->fd;
		pfd[n].events = POLLIN;
		pfd[n].revents = 0;
		n++;
	}
	g->watched = n;
	return n;
}

static int
add_member(struct group *group, const char *name)
{
	size_t room, size = strlen(name) + 1;
	char *grown;

	if (group->size + size > NAMES_MAX)
		return -1;
	if (group->size + size > group->room) {
		room = 2 * group->room + size;
		grown = realloc(group->members, room);
		if (grown == NULL)
			return -1;
		group->members = grown;
		group->room = room;
	}
	memcpy(group->members + group->size, name, size);
	group->size += size;
	return 0;
}

/* Whose name is none that mail can be for is no member to us. */
static int
add_members(struct group *group, const char *names, size_t size)
{
	size_t at;

	if (size > 0 && names[size - 1] != '\0')
		return -1;
	for (at = 0; at < size; at += strlen(names + at) + 1)
		if (is_account_name(names + at) &&
		    add_member(group, names + at) == -1)
			return -1;
	return 0;
}

/* One page.  -1: that was no answer; 1: there is another one; 0. */
static int
take_page(struct group *group, struct message *m, enum group_state *state)
{
	static const enum group_state states[MEMBERS_VERDICTS] = {
		[MEMBERS_FOUND] = GROUP_KNOWN,
		[MEMBERS_DEFERRED] = GROUP_FAILED,
		[MEMBERS_UNKNOWN] = GROUP_UNKNOWN,
		[MEMBERS_TOO_MANY] = GROUP_TOO_LARGE,
	};
	char names[MEMBERS_PAGE];
	uint32_t verdict = get_u32(m), has_more = get_u32(m);
	size_t size;

	get_data(m, names, sizeof(names), &size);
	if (m->type != REPLY_MEMBERS || get_end(m) == -1 ||
	    verdict >= MEMBERS_VERDICTS || has_more > 1 ||
	    add_members(group, names, size) == -1)
		return -1;
	*state = states[verdict];
	return has_more != 0 && *state == GROUP_KNOWN;
}

static void
heard(struct groups *g, struct group *group, uint64_t now)
{
	enum group_state state = GROUP_FAILED;
	struct message m;
	int n, more;

	do {
		n = message_recv(group->fd, &m, 0);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		more = n == 1 ? take_page(group, &m, &state) : -1;
		if (n == 1)
			message_discard(&m);
	} while (more == 1);
	conclude(g, group, more == 0 ? state : GROUP_FAILED, now);
}

void
groups_ready(struct groups *g, const struct pollfd *pfd, uint64_t now)
{
	size_t i, n = g->watched;

	g->watched = 0;
	for (i = 0; i < n; i++)
		if (pfd[i].revents != 0)
			heard(g, g->watching[i], now);
}

void
groups_expire(struct groups *g, uint64_t now)
{
	struct group *group;

	TAILQ_FOREACH(group, &g->list, link)
		if (group->state == GROUP_LISTING && group->when <= now)
			conclude(g, group, GROUP_FAILED, now);
}

uint64_t
groups_next(const struct groups *g)
{
	const struct group *group;
	uint64_t next = UINT64_MAX;

	TAILQ_FOREACH(group, &g->list, link)
		if ((group->state == GROUP_LISTING ||
		    (group->state == GROUP_ASKING &&
		    g->channels < GROUPS_CHANNELS)) && group->when < next)
			next = group->when;
	return next;
}
