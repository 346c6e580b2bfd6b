/*
 * aliases_file: the aliases file on disk, and others of its kind, read again
 * when they change.
 *
 * Runs in the session agent and in the queue, both as queue-user, and in
 * newaliases as whoever called it; reads that file through a descriptor of
 * its directory, which was opened before the process confined itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/log.h"
#include "smtpd/aliases.h"

void
aliases_log(const char *path, size_t line, const char *text)
{
	if (line > 0)
		log_event(LOG_ERR, 0, "event=aliases error=\"%s:%zu: %s\"",
		    path, line, text);
	else
		log_event(LOG_ERR, 0, "event=aliases error=\"%s: %s\"", path,
		    text);
}

void
aliases_ignore(const char *path, size_t line, const char *text)
{
	(void)path;
	(void)line;
	(void)text;
}

/* May what was read before stay in force? */
static int
keeps_old(const struct aliases_file *file)
{
	return file->kind == NAMES_DOMAIN_MAP && file->state == ALIASES_GOOD &&
	    !file->is_indexed && file->aliases.text != NULL;
}

/* Every letter comes by here: say it once. */
static void
refuse(struct aliases_file *file, const char *why)
{
	if (!file->is_told)
		file->report(file->path, 0, why);
	file->is_told = 1;
	if (keeps_old(file))
		return;
	aliases_free(&file->aliases);
	file->state = ALIASES_REFUSED;
}

/* There is no file, or none that opens. */
static void
opening_failed(struct aliases_file *file)
{
	if ((errno == ENOENT || errno == ENOTDIR) &&
	    (file->kind == NAMES_ALIASES || file->path[0] == '\0')) {
		aliases_free(&file->aliases);
		file->state = ALIASES_NONE;
		file->is_told = 0;
	} else
		refuse(file, strerror(errno));
}

/* The file that the configuration names; "": none. */
static const char *
path_of(enum names_kind kind, const struct config *config)
{
	switch (kind) {
	case NAMES_DOMAIN_MAP:
		return config->domain_map;
	case NAMES_RECIPIENTS:
		return config->relay_recipients;
	case NAMES_ALIASES:
		break;
	}
	return config->aliases;
}

void
aliases_open_as(struct aliases_file *file, enum names_kind kind,
    const struct config *config, aliases_report report)
{
	char dir[CONFIG_PATH_MAX];
	const char *slash;
	size_t len;

	memset(file, 0, sizeof(*file));
	file->kind = kind;
	file->dir = file->held = file->index_dir = file->index = -1;
	file->path = path_of(kind, config);
	file->config = config;
	file->report = report;
	slash = strrchr(file->path, '/');
	if (slash == NULL)
		return;
	file->base = slash + 1;
	len = (size_t)(slash - file->path);
	memcpy(dir, file->path, len);
	dir[len] = '\0';
	file->dir = open(len > 0 ? dir : "/",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->dir == -1)
		opening_failed(file);
}

void
aliases_open(struct aliases_file *file, const struct config *config,
    aliases_report report)
{
	aliases_open_as(file, NAMES_ALIASES, config, report);
}

void
aliases_close(struct aliases_file *file)
{
	aliases_free(&file->aliases);
	if (file->dir != -1)
		close(file->dir);
	if (file->held != -1)
		close(file->held);
	if (file->index != -1)
		close(file->index);
	memset(file, 0, sizeof(*file));
	file->dir = file->held = file->index_dir = file->index = -1;
}

static int
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	    a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	    a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The content of an open file, in memory for the caller. */
char *
aliases_read(int fd, size_t size, size_t *len)
{
	char *text = malloc(size + 1);
	ssize_t n;

	if (text == NULL)
		return NULL;
	for (*len = 0; *len < size; *len += (size_t)n) {
		n = pread(fd, text + *len, size - *len, (off_t)*len);
		if (n == -1) {
			free(text);
			return NULL;
		}
		if (n == 0)
			break;
	}
	return text;
}

/* What is wrong with it, or NULL. */
static const char *
check_file(struct aliases_file *file, int fd)
{
	if (fstat(fd, &file->seen) == -1)
		return strerror(errno);
	/* Who writes aliases says whose mailbox root's mail goes to (C24). */
	if (!S_ISREG(file->seen.st_mode) || file->seen.st_uid != 0 ||
	    (file->seen.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return "must be a file of root's, writable by no other";
	if (file->seen.st_size > ALIASES_FILE_MAX)
		return "too large";
	return NULL;
}

static void
load(struct aliases_file *file, int fd)
{
	const char *why = check_file(file, fd);
	struct aliases fresh = { .text = NULL };
	char *text;
	size_t len;

	if (why != NULL) {
		refuse(file, why);
		return;
	}
	text = aliases_read(fd, (size_t)file->seen.st_size, &len);
	if (text == NULL || aliases_parse_as(&fresh, file->kind, text, len,
	    file->path, file->config, file->report) == -1) {
		refuse(file, strerror(errno));
		aliases_free(&fresh);
	} else {
		aliases_free(&file->aliases);
		file->aliases = fresh;
		file->state = ALIASES_GOOD;
		file->is_told = 0;
	}
	free(text);
}

static int
open_file(const struct aliases_file *file)
{
	return openat(file->dir, file->base,
	    O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

void
aliases_hold(struct aliases_file *file)
{
	/* Not there when it was opened, which was judged then. */
	if (file->dir == -1)
		return;
	file->held = open_file(file);
	if (file->held == -1)
		opening_failed(file);
	close(file->dir);
	file->dir = -1;
}

/* Read all of it, once. */
static void
load_held(struct aliases_file *file)
{
	file->is_indexed = 0;
	load(file, file->held);
	close(file->held);
	file->held = -1;
}

static void
refresh_held(struct aliases_file *file)
{
	if (file->held == -1 || file->is_indexed)
		return;
	if (check_file(file, file->held) == NULL &&
	    aliases_index_is_of(file, &file->seen)) {
		file->is_indexed = 1;
		file->state = ALIASES_GOOD;
	} else
		load_held(file);
}

/* The index is no good: never mind it. */
static void
load_all(struct aliases_file *file)
{
	aliases_free(&file->aliases);
	load_held(file);
}

const struct alias *
aliases_lookup(struct aliases_file *file, const char *name,
    const struct aliases **in)
{
	char key[ALIASES_KEY_MAX];

	*in = &file->aliases;
	if (aliases_key(name, key) == -1)
		return NULL;
	if (file->is_indexed && aliases_index_find(file, key) == -1)
		load_all(file);
	return aliases_find(*in, key);
}

int
aliases_has_domain(struct aliases_file *file, const char *domain)
{
	char key[ALIASES_KEY_MAX];
	int found;

	if (aliases_key(domain, key) == -1)
		return 0;
	if (file->is_indexed) {
		found = aliases_index_find_domain(file, key);
		if (found != -1)
			return found;
		load_all(file);
	}
	return aliases_find_domain(&file->aliases, key);
}

/* Sessions can do without it, at a price. */
static void
write_index(struct aliases_file *file)
{
	if (aliases_index_write(file, file->index_dir) == -1)
		log_event(LOG_NOTICE, 0, "event=no-aliases-index "
		    "file=%s error=\"%s\"", file->path, strerror(errno));
	/* Nobody here asks for them. */
	if (file->kind == NAMES_RECIPIENTS)
		aliases_free(&file->aliases);
}

void
aliases_refresh(struct aliases_file *file)
{
	struct stat st;
	int fd;

	if (file->dir == -1) {
		refresh_held(file);
		return;
	}
	if (fstatat(file->dir, file->base, &st, 0) == 0 &&
	    is_same(&st, &file->seen))
		return;
	memset(&file->seen, 0, sizeof(file->seen));
	fd = open_file(file);
	if (fd == -1) {
		opening_failed(file);
		return;
	}
	load(file, fd);
	close(fd);
	if (file->index_dir != -1 && !file->is_told)
		write_index(file);
}
