/*
 * crowd: a generation's workers that wait for a client: how many there are to
 * be, which are on their way, and which have gone.
 *
 * Runs in the master, as root; asks the spawner, holds one end of each
 * worker's channel and reads nothing from it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "master.h"

#define GROWTH		16	/* times prefork are kept waiting at most */
#define SECONDS		10	/* without a rush, and there are fewer again */
#define PATIENCE	30	/* seconds for one that was asked for to come */

static struct {
	uint64_t	 serial;	/* next worker's, and so session's id */
	uint32_t	 size;		/* workers to be kept waiting */
	time_t		 rush;		/* when they were last too few */
	time_t		 second;	/* in which so many were taken: */
	uint32_t	 taken;
} crowd;

/* Ids that don't repeat from one start to the next. */
static uint64_t
next_ids(uint32_t n)
{
	uint64_t id;

	if (crowd.serial == 0)
		crowd.serial = (uint64_t)time(NULL) << 24;
	id = crowd.serial;
	crowd.serial += n;
	return id;
}

uint64_t
crowd_next_id(void)
{
	return next_ids(1);
}

/*
 * The last one that waited was taken.  If as many came in this second as are
 * kept waiting, more are.
 */
static void
grow(void)
{
	uint32_t most = master.config->prefork * GROWTH;

	if (crowd.taken <= crowd.size)
		return;
	crowd.rush = master.now;
	crowd.size = crowd.size > most / 2 ? most : crowd.size * 2;
}

static void
count_taken(void)
{
	if (crowd.second != master.now)
		crowd.taken = 0;
	crowd.second = master.now;
	crowd.taken++;
}

void
crowd_shrink(void)
{
	uint32_t least = master.config->prefork;

	if (crowd.size < least)
		crowd.size = least;
	else if (crowd.size > least && master.now - crowd.rush >= SECONDS) {
		crowd.size -= (crowd.size - least + 3) / 4;
		crowd.rush = master.now;
	}
}

void
crowd_ask(struct generation *g)
{
	size_t have = g->waiting_count + g->asked;
	size_t want = g->is_serving ? crowd.size : 1;
	struct message m;
	uint32_t n;

	if (g->is_retired || master.is_stopping || (g->is_serving &&
	    (generation_is_wanted() || master.has_enough)) ||
	    have >= want || g->asked >= SPAWN_MAX)
		return;
	n = (uint32_t)(want - have);
	if (n > SPAWN_MAX - g->asked)
		n = (uint32_t)(SPAWN_MAX - g->asked);
	message_begin(&m, CH_SPAWN);
	put_u64(&m, next_ids(n));
	put_u32(&m, n);
	if (message_send(g->spawner.channel.fd, &m) == -1)
		return;		/* asked again at the next tick */
	if (g->asked == 0)
		g->asked_at = master.now;
	g->asked += n;
}

int
crowd_is_stuck(const struct generation *g)
{
	return g->asked > 0 && master.now - g->asked_at > PATIENCE;
}

int
crowd_heard(struct generation *g, struct message *m)
{
	struct waiting *w;
	uint64_t serial = get_u64(m);
	int fd = get_fd(m);

	if (get_end(m) == -1) {
		if (fd != -1)
			close(fd);
		return 0;
	}
	/* Nobody gets more than he asked for, and holds their descriptors. */
	w = g->asked > 0 ? calloc(1, sizeof(*w)) : NULL;
	if (g->asked > 0)
		g->asked--;
	g->asked_at = master.now;
	/* Ours not to block on, whatever the spawner made of it. */
	if (w == NULL || g->is_retired || master.is_stopping ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) == -1) {
		free(w);
		close(fd);
		g->dismissed++;
		return 0;
	}
	w->serial = serial;
	w->channel = fd;
	TAILQ_INSERT_TAIL(&g->waiting, w, link);
	g->waiting_count++;
	return 1;
}

int
crowd_lost(struct generation *g, uint64_t serial)
{
	struct waiting *w;

	TAILQ_FOREACH(w, &g->waiting, link)
		if (w->serial == serial)
			break;
	if (w == NULL)
		return 0;
	TAILQ_REMOVE(&g->waiting, w, link);
	g->waiting_count--;
	close(w->channel);
	free(w);
	return 1;
}

void
crowd_gone(struct generation *g)
{
	if (g->dismissed > 0)
		g->dismissed--;
	else if (g->asked > 0)
		g->asked--;	/* its WAITING was lost on the way */
}

struct waiting *
crowd_take(struct generation *g)
{
	struct waiting *w = TAILQ_FIRST(&g->waiting);

	if (w == NULL)
		return NULL;
	TAILQ_REMOVE(&g->waiting, w, link);
	count_taken();
	if (--g->waiting_count == 0)
		grow();
	crowd_ask(g);
	return w;
}

void
crowd_dismiss(struct generation *g, struct waiting *w)
{
	close(w->channel);
	free(w);
	g->dismissed++;
}

void
crowd_dismiss_all(struct generation *g)
{
	struct waiting *w;

	while ((w = TAILQ_FIRST(&g->waiting)) != NULL) {
		TAILQ_REMOVE(&g->waiting, w, link);
		crowd_dismiss(g, w);
	}
	g->waiting_count = 0;
}
