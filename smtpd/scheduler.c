/*
 * scheduler: the lock on the spool, letters from elsewhere, and the end of a
 * run.
 *
 * Runs in the queue, as queue-user (the watch is opened before that is for
 * good, but as that user, too); touches the spool.
 *
 * Without a lock two schedulers would not deliver twice: each letter has its
 * own, and the outcomes are on record.  But they would wake up and try for
 * nothing, and neither could know that nobody has tried a letter before.
 */
#include <sys/file.h>
#include <sys/inotify.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "privsep/log.h"
#include "smtpd/scheduler.h"

#define LOOK_LATER	1	/* seconds: by then a hint has done it */
#define EVENTS_SIZE	16384

int
scheduler_lock(int dir)
{
	return flock(dir, LOCK_EX | LOCK_NB);
}

void
scheduler_unlock(int dir)
{
	if (flock(dir, LOCK_UN) == -1)
		fatal("unlocking the spool");
}

int
scheduler_watch(const char *spool_path)
{
	char path[CONFIG_PATH_MAX + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/queue", spool_path);
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd == -1 || inotify_add_watch(fd, path, IN_MOVED_TO | IN_ONLYDIR |
	    IN_DONT_FOLLOW) != -1)
		return fd;
	close(fd);
	return -1;
}

/*
 * A name that appeared.  Those of our own sessions come by a hint as well,
 * which is there sooner than the second that we give it; then there is no
 * such letter any more.  Deferrals, ours, lie ahead.
 */
static void
appeared(struct queue *q, const char *text)
{
	struct spool_name name;

	if (spool_name_parse(text, &name) == 0 && name.due <= q->now)
		queue_look_again(q, &name, q->now + LOOK_LATER);
}

int
scheduler_look(int watch, struct queue *q)
{
	static _Alignas(struct inotify_event) char buf[EVENTS_SIZE];
	const struct inotify_event *event;
	ssize_t at, n;
	int result = 0;

	while ((n = read(watch, buf, sizeof(buf))) > 0)
		for (at = 0; at < n; at += (ssize_t)(sizeof(*event) +
		    event->len)) {
			event = (const void *)(buf + at);
			if ((event->mask & IN_MOVED_TO) != 0)
				appeared(q, event->name);
			else
				result = -1;	/* too many, or moved away */
		}
	return result;
}

int
scheduler_is_done(const struct queue *q)
{
	return q->job_count == 0 && groups_is_idle(&q->groups) &&
	    q->handout.channels == 0 &&
	    TAILQ_EMPTY(&q->handout.wanting) &&
	    outbound_is_idle(&q->outbound) &&
	    schedule_next(&q->schedule, 1) > q->now &&
	    !schedule_is_short(&q->schedule, q->now);
}

struct search {
	const struct queue	*queue;
	int			 has_news;
};

/* Due, and not one that could only be put off (locked, or unreadable now). */
static void
look_for_news(void *arg, const struct spool_name *name)
{
	struct search *search = arg;

	if (!search->has_news && name->due <= search->queue->now &&
	    schedule_find(&search->queue->schedule, name->id, NULL) == NULL)
		search->has_news = 1;
}

int
scheduler_has_news(const struct queue *q)
{
	struct search search = { .queue = q };
	size_t strange;

	if (spool_scan(&q->spool, look_for_news, &search, &strange) == -1)
		return -1;
	return search.has_news;
}
