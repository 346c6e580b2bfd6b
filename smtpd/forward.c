/*
 * forward: reads ~/.forward.
 *
 * Runs in delivery agents, as the recipient and never as root, before they are
 * confined to the mailbox, and in the agents of programs; touches that one
 * file.  The queue uses the mark.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "address.h"
#include "forward.h"

#define HEADER_MAX	(256 * 1024)	/* of a letter, looked at for the mark */

static int
is_others(const struct stat *st)
{
	return (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

/* The file, or -1 with errno, or with *why and errno 0. */
static int
open_file(const struct identity *who, const char **why)
{
	struct stat st;
	int home, fd;

	home = open(who->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (home == -1)
		return -1;
	fd = openat(home, ".forward", O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC);
	if (fd == -1 && errno == ELOOP) {
		*why = "a symbolic link";
		errno = 0;
	} else if (fd != -1 && (fstat(home, &st) == -1 || is_others(&st) ||
	    (st.st_uid != who->uid && st.st_uid != 0))) {
		*why = "in a home that others can write";
		errno = 0;
		close(fd);
		fd = -1;
	}
	close(home);
	return fd;
}

static const char *
check_file(int fd, const struct identity *who, size_t *size)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	if (st.st_uid != who->uid || st.st_nlink != 1)
		return "not the user's own";
	if (is_others(&st))
		return "writable by others";
	if (st.st_size > FORWARD_FILE_MAX)
		return "too large";
	*size = (size_t)st.st_size;
	return NULL;
}

static int
has(const char *const *list, size_t count, const char *text)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(list[i], text) == 0)
			return 1;
	return 0;
}

/* What the queue will take: "\"a b\"" without a domain is no name here. */
static int
is_sendable(const char *text)
{
	struct address address;

	return address_mailbox(text, strlen(text), ADDRESS_BARE, &address) ==
	    ADDRESS_OK;
}

/* One that is not only the mailbox. */
static void
add_target(struct forward *f, const struct target *t,
    const struct config *config)
{
	if (t->kind == TARGET_PROGRAM) {
		if (!config->forward_commands)
			f->refused = "has a command or a file";
		else if (!has(f->programs, f->program_count, t->text))
			f->programs[f->program_count++] = t->text;
	} else if (!is_sendable(t->text))
		f->refused = "has a mistake";
	else if (!has(f->addresses, f->count, t->text))
		f->addresses[f->count++] = t->text;
}

int
forward_parse(struct forward *f, const char *text, size_t len,
    const struct identity *who, const struct config *config)
{
	const struct alias *all;
	const struct target *t;
	size_t i;

	memset(f, 0, sizeof(*f));
	if (aliases_parse_forward(&f->list, text, len, config) == -1)
		return -1;
	all = &f->list.entries[0];
	if (all->is_bad || all->count > FORWARD_MAX) {
		f->refused = all->is_bad ? "has a mistake" : "too long";
		return 0;
	}
	f->is_set = all->count > 0;
	for (i = 0; i < all->count; i++) {
		t = aliases_target(&f->list, all, i);
		if (t->kind == TARGET_NOTHING)
			continue;
		if (t->kind == TARGET_GROUP)
			f->refused = "has a mistake";
		else if (t->kind != TARGET_REMOTE &&
		    strcasecmp(t->text, who->name) == 0)
			f->keeps = 1;
		else
			add_target(f, t, config);
	}
	if (f->refused != NULL) {
		f->is_set = f->keeps = 0;
		f->count = f->program_count = 0;
	}
	return 0;
}

void
forward_look(const struct identity *who, struct forward_stamp *stamp)
{
	char path[sizeof(who->home) + 10];
	struct stat st;

	memset(stamp, 0, sizeof(*stamp));
	snprintf(path, sizeof(path), "%s/.forward", who->home);
	if (lstat(path, &st) == -1) {
		stamp->error = errno;
		return;
	}
	stamp->device = (uint64_t)st.st_dev;
	stamp->file = (uint64_t)st.st_ino;
	stamp->size = (uint64_t)st.st_size;
	stamp->modified = st.st_mtim;
	stamp->changed = st.st_ctim;
}

static int
is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int
forward_is_same(const struct forward_stamp *a, const struct forward_stamp *b)
{
	return a->error == b->error && a->device == b->device &&
	    a->file == b->file && a->size == b->size &&
	    is_same_time(&a->modified, &b->modified) &&
	    is_same_time(&a->changed, &b->changed);
}

/* Nothing there, or nothing for us to see. */
static int
is_absent(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES ||
	    error == ENXIO;
}

int
forward_read(struct forward *f, const struct identity *who,
    const struct config *config)
{
	const char *why = NULL;
	size_t size, len;
	char *text = NULL;
	int fd, result = 0;

	memset(f, 0, sizeof(*f));
	fd = open_file(who, &why);
	if (fd == -1 && why == NULL)
		return is_absent(errno) ? 0 : -1;
	if (fd != -1)
		why = check_file(fd, who, &size);
	if (why == NULL) {
		text = aliases_read(fd, size, &len);
		result = text == NULL ? -1 :
		    forward_parse(f, text, len, who, config);
	} else
		f->refused = why;
	free(text);
	if (fd != -1)
		close(fd);
	return result;
}

void
forward_free(struct forward *f)
{
	aliases_free(&f->list);
	memset(f, 0, sizeof(*f));
}

void
forward_mark(const char *account, const struct config *config,
    char mark[FORWARD_MARK_MAX])
{
	snprintf(mark, FORWARD_MARK_MAX, "Delivered-To: %.255s@%.255s\n",
	    account, config->hostname);
}

int
forward_is_marked(int fd, uint64_t offset, uint64_t length, const char *mark)
{
	size_t size = length < HEADER_MAX ? (size_t)length : HEADER_MAX;
	size_t len = 0, mark_len = strlen(mark);
	char *text = malloc(size + 1), *line, *end;
	int found = 0;
	ssize_t n;

	if (text == NULL)
		return -1;
	while (len < size) {
		n = pread(fd, text + len, size - len, (off_t)(offset + len));
		if (n <= 0) {
			free(text);
			errno = n == 0 ? EIO : errno;
			return -1;
		}
		len += (size_t)n;
	}
	for (line = text; !found; line = end + 1) {
		end = memchr(line, '\n', len - (size_t)(line - text));
		if (end == NULL || end == line)
			break;
		found = (size_t)(end - line) + 1 == mark_len &&
		    strncasecmp(line, mark, mark_len) == 0;
	}
	free(text);
	return found;
}
