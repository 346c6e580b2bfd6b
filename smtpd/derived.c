/*
 * derived: letters of the queue's own, each exactly once.
 *
 * Runs in the queue, as queue-user; touches the spool only.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/derived.h"

#define PREFIX	9	/* of the parent's id: its time */

void
derived_id(const char *parent, const char *what, char id[QUEUE_ID_MAX])
{
	static const char digits62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz";
	uint8_t hash[SHA256_DIGEST_LENGTH];
	SHA2_CTX ctx;
	size_t i;

	SHA256Init(&ctx);
	SHA256Update(&ctx, (const uint8_t *)parent, strlen(parent) + 1);
	SHA256Update(&ctx, (const uint8_t *)what, strlen(what));
	SHA256Final(hash, &ctx);
	for (i = 0; i < PREFIX && parent[i] != '\0'; i++)
		id[i] = parent[i];
	for (; i < SPOOL_ID_LEN; i++)
		id[i] = digits62[hash[i] % 62];
	id[i] = '\0';
}

struct spool_writer *
derived_begin(const struct spool *spool,
    const struct envelope_writer *envelope, const char *parent,
    const char *what)
{
	static struct spool_writer writer;
	char id[QUEUE_ID_MAX];

	derived_id(parent, what, id);
	return spool_begin_as(&writer, spool, envelope, id) == 0 ? &writer :
	    NULL;
}

/* Its size, which its name in queue/ shall say. */
static int
measure(const struct spool *spool, const char *id, uint64_t *size)
{
	struct letter letter;
	int fd;

	fd = openat(spool->held, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (fd == -1 || letter_read(fd, &letter) == -1)
		return -1;
	*size = letter.length;
	letter_close(&letter);
	return 0;
}

int
derived_release(const struct spool *spool, const char *id, uint64_t now,
    struct spool_name *name)
{
	char text[SPOOL_NAME_MAX];

	memset(name, 0, sizeof(*name));
	name->due = now;
	if (!spool_id_is_legal(id) ||
	    strlcpy(name->id, id, sizeof(name->id)) >= sizeof(name->id)) {
		errno = EINVAL;
		return -1;
	}
	if (measure(spool, id, &name->size) == -1)
		return errno == ENOENT ? 0 : -1;
	if (spool_name_print(name, text) == -1 ||
	    renameat(spool->held, id, spool->queue, text) == -1 ||
	    fsync(spool->queue) == -1)
		return -1;
	return 1;
}

int
derived_release_all(const struct spool *spool, const struct letter *letter,
    uint64_t now, void (*each)(void *, const struct spool_name *), void *arg)
{
	const struct outcome *o;
	struct spool_name name;
	size_t i;
	int n;

	for (i = 0; i < letter->outcome_count; i++) {
		o = &letter->outcomes[i];
		if (o->kind != OUTCOME_SPLIT && o->kind != OUTCOME_NOTIFIED)
			continue;
		n = derived_release(spool, o->target, now, &name);
		if (n == -1)
			return -1;
		if (n == 1)
			each(arg, &name);
	}
	return 0;
}

/* What lies in held/: few, since each is there for an instant. */
struct held {
	size_t	count;
	char	(*ids)[QUEUE_ID_MAX];	/* "": its parent is there */
};

static int
list_held(const struct spool *spool, struct held *held)
{
	struct dirent *entry;
	char (*grown)[QUEUE_ID_MAX];
	int fd, saved;
	DIR *d;

	fd = openat(spool->held, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return -1;
	}
	while (errno = 0, (entry = readdir(d)) != NULL) {
		if (!spool_id_is_legal(entry->d_name))
			continue;
		grown = reallocarray(held->ids, held->count + 1,
		    sizeof(*grown));
		if (grown == NULL)
			break;
		held->ids = grown;
		strlcpy(held->ids[held->count++], entry->d_name,
		    QUEUE_ID_MAX);
	}
	saved = errno;
	closedir(d);
	errno = saved;
	return saved == 0 ? 0 : -1;
}

static void
spare(void *arg, const struct spool_name *name)
{
	struct held *held = arg;
	size_t i;

	for (i = 0; i < held->count; i++)
		if (strncmp(held->ids[i], name->id, PREFIX) == 0)
			held->ids[i][0] = '\0';
}

int
derived_clean(const struct spool *spool)
{
	struct held held = { 0 };
	size_t i, strange;
	int removed = -1;

	if (list_held(spool, &held) == 0 && (held.count == 0 ||
	    spool_scan(spool, spare, &held, &strange) == 0)) {
		removed = 0;
		for (i = 0; i < held.count; i++)
			if (held.ids[i][0] != '\0' &&
			    unlinkat(spool->held, held.ids[i], 0) == 0)
				removed++;
	}
	free(held.ids);
	return removed;
}
