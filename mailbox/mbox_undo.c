/*
 * mbox_undo: find out how far a delivery came that was cut short, and finish
 * or undo it.
 *
 * Runs in agents, as the user whose mail it is, with both locks, before
 * anything is read from the mbox; see mbox_append.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/log.h"
#include "mbox_append.h"
#include "mbox_rewrite.h"
#include "state.h"

#define TOMBSTONE_AGE	(8 * 24 * 60 * 60)	/* none is queued so long */
#define SWEEP_READ	4096	/* names looked at in one sweep */

/* What is in the place of a letter. */
enum append_found { FOUND_OTHER, FOUND_NOTHING, FOUND_WHOLE, FOUND_TORN };

struct look {
	const struct intent	*in;
	uint64_t		 at;	/* octets seen */
	uint64_t		 hash;
	int			 has_nul;
	int			 is_other;
	uint8_t			 before_end;	/* the third from the end */
	size_t			 matched;	/* of "\nFrom " */
};

/*
 * One octet of a letter that is torn: as it was to be, or still NUL, where
 * that is known; and no line that separates messages but its own.
 */
static void
look_at(struct look *l, uint8_t octet)
{
	static const char from[] = "\nFrom ";
	const struct intent *in = l->in;

	if (l->at + 3 == in->length)
		l->before_end = octet;
	if (octet == '\0')
		l->has_nul = 1;
	else if (l->at < in->prefix_len ? octet != in->prefix[l->at] :
	    l->at >= in->length - 2 && octet != '\n')
		l->is_other = 1;
	if (octet == (uint8_t)from[l->matched])
		l->matched++;
	else
		l->matched = octet == '\n';
	if (l->matched == sizeof(from) - 1) {
		l->matched = 0;
		if (l->at > sizeof(from) + 2)
			l->is_other = 1;
	}
	l->at++;
}

/*
 * What is in its place, of which len octets are there: all, or fewer if the
 * power failed before the size of the file was on disk.
 */
static enum append_found
judge(const struct look *l, uint64_t len)
{
	const struct intent *in = l->in;

	if (len == in->length && l->hash == in->hash)
		return FOUND_WHOLE;
	if (l->is_other)
		return FOUND_OTHER;
	if (len < in->length)
		return FOUND_TORN;
	/* A letter with NULs of its own: its last octet must be missing. */
	return l->has_nul && (!in->has_nul || l->before_end == '\0') ?
	    FOUND_TORN : FOUND_OTHER;
}

static int
find_out(const struct mailbox *mb, const struct intent *in, uint64_t size,
    enum append_found *found)
{
	static uint8_t block[64 * 1024];
	struct look l = { .in = in, .hash = JOURNAL_HASH_START };
	uint64_t len;
	size_t piece, i;

	*found = size == in->start ? FOUND_NOTHING : FOUND_OTHER;
	if (size <= in->start)
		return 0;
	len = size - in->start < in->length ? size - in->start : in->length;
	while (l.at < len) {
		piece = len - l.at < sizeof(block) ? (size_t)(len - l.at) :
		    sizeof(block);
		if (io_pread(mb->file, block, piece, in->start + l.at) == -1)
			return -1;
		l.hash = journal_hash(l.hash, block, piece);
		for (i = 0; i < piece; i++)
			look_at(&l, block[i]);
	}
	*found = judge(&l, len);
	return 0;
}

/* Finish or undo one delivery. */
static int
resolve(struct mailbox *mb, const struct append_names *names,
    const struct intent *in)
{
	struct mbox_gap gap = { .offset = in->start, .length = in->length };
	enum append_found found = FOUND_OTHER;
	struct stat st;

	if (fstat(mb->file, &st) == -1)
		return -1;
	if ((uint64_t)st.st_size < in->start + in->length)
		gap.length = (uint64_t)st.st_size - in->start;
	if (st.st_ino == in->ino &&
	    find_out(mb, in, (uint64_t)st.st_size, &found) == -1)
		return -1;
	switch (found) {
	case FOUND_WHOLE:
		if (fsync(mb->file) == -1)
			return -1;
		return renameat(mb->state, names->begun, mb->state,
		    names->done);
	case FOUND_TORN:
		if (mbox_rewrite(mb, (uint64_t)st.st_size, &gap, 1) == -1)
			return -1;
		break;
	case FOUND_OTHER:
		log_event(LOG_WARNING, 0, "event=intent-dropped text=\"the "
		    "mbox was changed by others before a delivery was done\"");
		break;
	case FOUND_NOTHING:
		break;
	}
	return unlinkat(mb->state, names->begun, 0);
}

static int
resolve_name(struct mailbox *mb, const char *id)
{
	struct append_names names;
	struct intent in;
	uint8_t data[INTENT_SIZE + 1];
	ssize_t n;
	int fd;

	if (append_names(id, &names) == -1)
		return 0;		/* none of ours */
	fd = state_open(mb->state, names.begun, O_RDONLY, mb->uid);
	if (fd == -1)
		return -1;
	n = pread(fd, data, sizeof(data), 0);
	close(fd);
	if (n == -1)
		return -1;
	/* Torn itself: nothing was written to the mbox after it. */
	if (intent_get(&in, data, (size_t)n) == -1)
		return unlinkat(mb->state, names.begun, 0);
	return resolve(mb, &names, &in);
}

/* The names in ~/.postern, from the first. */
static DIR *
list(const struct mailbox *mb)
{
	DIR *dir;
	int fd;

	fd = openat(mb->state, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return NULL;
	dir = fdopendir(fd);
	if (dir == NULL)
		close(fd);
	return dir;
}

int
append_recover(struct mailbox *mb)
{
	const size_t len = sizeof(APPEND_BEGUN) - 1;
	const struct dirent *d;
	DIR *dir;
	int r = 0, saved;

	if (mb->state == -1)
		return 0;		/* nothing was ever begun */
	dir = list(mb);
	if (dir == NULL)
		return -1;
	/* There is hardly ever more than one: they happen under the locks. */
	while (r == 0 && (errno = 0, d = readdir(dir)) != NULL)
		if (strncmp(d->d_name, APPEND_BEGUN, len) == 0)
			r = resolve_name(mb, d->d_name + len);
	if (r == 0 && errno != 0)
		r = -1;
	saved = errno;
	closedir(dir);
	errno = saved;
	return r;
}

void
append_sweep(const struct mailbox *mb, time_t now)
{
	const size_t len = sizeof(APPEND_DONE) - 1;
	struct append_names names;
	const struct dirent *d;
	struct stat st;
	DIR *dir = list(mb);
	int left = SWEEP_READ;

	if (dir == NULL)
		return;
	while ((d = readdir(dir)) != NULL && left-- > 0)
		if (strncmp(d->d_name, APPEND_DONE, len) == 0 &&
		    append_names(d->d_name + len, &names) == 0 &&
		    fstatat(mb->state, names.done, &st,
		    AT_SYMLINK_NOFOLLOW) == 0 &&
		    now - st.st_mtim.tv_sec > TOMBSTONE_AGE)
			(void)unlinkat(mb->state, names.done, 0);
	closedir(dir);
}
