/*
 * aliases_include: the files that ":include:" names.
 *
 * Runs in the queue, as queue-user; reads files below the directory of the
 * aliases file, which it opened before it confined itself to that (C7).
 *
 * The administrator has named the file, but it may be somebody else's, who
 * keeps the list.  So it is opened below that directory and without following
 * a link, is not waited for, and is not told of but by its name.
 */
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd/aliases.h"

/* The part of a path below the directory that the aliases file is in. */
static const char *
below(const struct aliases_file *file, const char *path)
{
	size_t len;

	if (file->dir == -1 || file->base == NULL)
		return NULL;
	/* With its slash. */
	len = (size_t)(file->base - file->path);
	if (strncmp(path, file->path, len) != 0 || path[len] == '\0')
		return NULL;
	return path + len;
}

static int
open_below(int dir, const char *path)
{
	const struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		    RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static const char *
check_file(int fd, struct stat *st)
{
	if (fstat(fd, st) == -1)
		return strerror(errno);
	if (!S_ISREG(st->st_mode) || st->st_nlink != 1)
		return "must be a regular file with one name";
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return "must be writable by its owner only";
	if (st->st_size > ALIASES_INCLUDE_MAX)
		return "is too large";
	return NULL;
}

/* Where the first mistake is, and which; never what the file says. */
static char mistake[200];

static void
keep_first(const char *path, size_t line, const char *text)
{
	(void)path;
	if (mistake[0] == '\0')
		snprintf(mistake, sizeof(mistake),
		    "has a mistake in line %zu: %s", line, text);
}

static int
read_list(const struct aliases_file *file, int fd, size_t size,
    const char *path, struct aliases *list, const char **why)
{
	size_t len;
	char *text = aliases_read(fd, size, &len);
	int result = -1;

	mistake[0] = '\0';
	if (text != NULL)
		result = aliases_parse_list(list, text, len, path,
		    file->config, keep_first);
	free(text);
	if (result == -1)
		*why = strerror(errno);
	else if (list->entries[0].is_bad)
		*why = mistake;
	else
		return 0;
	return -1;
}

int
aliases_include(const struct aliases_file *file, const char *path,
    struct aliases *list, const char **why)
{
	const char *name = below(file, path);
	struct stat st;
	int fd, result = -1;

	memset(list, 0, sizeof(*list));
	if (name == NULL) {
		*why = "must lie below the directory of the aliases file";
		return -1;
	}
	fd = open_below(file->dir, name);
	if (fd == -1) {
		*why = errno == ELOOP || errno == EXDEV ?
		    "must not lie behind a link" : strerror(errno);
		return -1;
	}
	*why = check_file(fd, &st);
	if (*why == NULL)
		result = read_list(file, fd, (size_t)st.st_size, path, list,
		    why);
	close(fd);
	if (result == -1)
		aliases_free(list);
	return result;
}
