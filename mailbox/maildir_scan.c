/*
 * maildir_scan: the names in a Maildir's folders, read while other programs
 * rename what is there.
 *
 * Runs in agents, as the user whose mail it is; reads directories of the
 * Maildir.
 *
 * A file that is renamed while its directory is read may be met under neither
 * name, and one that moves from cur/ to new/ in neither folder.  So what was
 * not met is known not to be there only if nothing changed meanwhile.
 */
#include <sys/time.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "maildir.h"

#define READINGS_MAX	16
#define READINGS_ALIKE	6	/* in a row without news: that was all */
#define PAUSE_MS	5	/* longer than most kernels' tick */

/* When the folders were last changed, as seen at a moment. */
struct moment {
	struct timespec	changed[MAILDIR_TMP];	/* new/ and cur/ */
	struct timespec	now;
};

int
maildir_scan(struct mailbox *mb, enum maildir_folder folder,
    maildir_found found, void *arg)
{
	struct dirent *entry;
	DIR *dir;
	int fd, r = 0, saved;

	if (mb->folder[folder] == -1)
		return 0;
	fd = fcntl(mb->folder[folder], F_DUPFD_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	dir = fdopendir(fd);
	if (dir == NULL) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	rewinddir(dir);		/* the position is shared with the original */
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (entry == NULL) {
			r = errno == 0 ? 0 : -1;
			break;
		}
		if (entry->d_name[0] == '.')
			continue;
		r = found(mb, folder, entry, arg);
		if (r != 0)
			break;
	}
	saved = errno;
	closedir(dir);
	errno = saved;
	return r;
}

static int
take_moment(const struct mailbox *mb, clockid_t clock, struct moment *m)
{
	struct stat st;
	int i;

	for (i = 0; i < MAILDIR_TMP; i++) {
		timespecclear(&m->changed[i]);
		if (mb->folder[i] == -1)
			continue;
		if (fstat(mb->folder[i], &st) == -1)
			return -1;
		m->changed[i] = st.st_ctim;
	}
	return clock_gettime(clock, &m->now);
}

/*
 * The time of a change is that of the kernel's last tick, or on some file
 * systems of the last second: a folder that was changed so lately may have
 * been changed once more, and it would not show.
 */
static int
is_untouched(const struct moment *before, const struct moment *after, int i)
{
	const struct timespec *changed = &before->changed[i];
	struct timespec tick = before->now;

	if (timespeccmp(changed, &after->changed[i], !=))
		return 0;
	if (changed->tv_nsec == 0)
		tick.tv_nsec = 0;
	return timespeccmp(changed, &tick, <) ||
	    timespeccmp(changed, &after->now, >);
}

int
maildir_scan_both(struct mailbox *mb, maildir_found found, void *arg,
    int *is_whole)
{
	struct moment before, after;
	int r;

	*is_whole = 0;
	if (take_moment(mb, CLOCK_REALTIME_COARSE, &before) == -1)
		return -1;
	/* In this order, since that is the way that most messages go. */
	if ((r = maildir_scan(mb, MAILDIR_NEW, found, arg)) != 0 ||
	    (r = maildir_scan(mb, MAILDIR_CUR, found, arg)) != 0)
		return r;
	if (take_moment(mb, CLOCK_REALTIME, &after) == -1)
		return -1;
	*is_whole = is_untouched(&before, &after, MAILDIR_NEW) &&
	    is_untouched(&before, &after, MAILDIR_CUR);
	return 0;
}

int
maildir_scan_again(struct maildir_readings *r, int is_whole, int has_news)
{
	r->done++;
	r->alike = has_news ? 0 : r->alike + 1;
	if (is_whole || r->alike == READINGS_ALIKE || r->done == READINGS_MAX)
		return 0;
	(void)poll(NULL, 0, PAUSE_MS);
	return 1;
}
