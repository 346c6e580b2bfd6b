/*
 * speaker: who says what over a log socket that several processes share.
 *
 * Runs in the master, as root.
 *
 * All forks of a role write to the socket that the role has, and those of
 * agents are users or read what strangers send.  Who wrote a line is therefore
 * the kernel's word (SO_PASSCRED): it stands before the line, and what stands
 * behind it is believed as far as that uid is.  Each may say so much in a
 * second, so that whoever is in other hands can neither fill the log nor have
 * a syslog with limits of its own drop what others say.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <syslog.h>

#include "log.h"
#include "master.h"

#define LINES_A_SECOND	50
/* A session's agent has a line for each of its letters. */
#define LINES_OF_SESSION	500
#define HASH_SIZE	256

struct speaker {
	LIST_ENTRY(speaker)	 link;
	const char		*stamp;
	uid_t			 uid;
	pid_t			 pid;	/* 0: all processes of that user */
	unsigned		 lines;	/* in this second */
};

static LIST_HEAD(, speaker) speakers[HASH_SIZE];
static size_t count;

/*
 * A user is one speaker, whatever he runs; of queue-user's processes, each of
 * which serves another client, every one.  Neither can become another.
 */
static struct speaker *
find(const char *stamp, uid_t uid, pid_t pid)
{
	struct speaker *s;
	size_t at;

	if (uid != master.config->queue_user.uid)
		pid = 0;
	at = (size_t)(uid ^ (uid_t)pid) % HASH_SIZE;
	LIST_FOREACH(s, &speakers[at], link)
		if (s->uid == uid && s->pid == pid)
			return s;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->stamp = stamp;
	s->uid = uid;
	s->pid = pid;
	LIST_INSERT_HEAD(&speakers[at], s, link);
	count++;
	return s;
}

static unsigned
budget(const struct speaker *s)
{
	return s->pid != 0 ? LINES_OF_SESSION : LINES_A_SECOND;
}

void
speaker_says(const char *stamp, const struct message *m, uint32_t level,
    const char *line)
{
	struct speaker *s = find(stamp, m->uid, m->pid);

	if (s == NULL || ++s->lines > budget(s))
		return;
	if (level < LOG_ERR)		/* it wakes nobody up */
		level = LOG_ERR;
	log_event((int)level, 0, "by=%s uid=%u pid=%d %s", stamp, m->uid,
	    (int)m->pid, line);
}

static void
conclude(struct speaker *s)
{
	if (s->lines > budget(s))
		log_event(LOG_WARNING, 0, "event=log-suppressed by=%s uid=%u "
		    "lines=%u", s->stamp, s->uid, s->lines - budget(s));
	LIST_REMOVE(s, link);
	free(s);
}

void
speaker_tick(void)
{
	struct speaker *s, *next;
	size_t i;

	for (i = 0; count > 0 && i < HASH_SIZE; i++)
		LIST_FOREACH_SAFE(s, &speakers[i], link, next)
			conclude(s);
	count = 0;
}

int
speaker_is_any(void)
{
	return count > 0;
}
