/*
 * keyring_send: certificates and keys from their files into a sealed memfd.
 *
 * Runs in the master, as root, when a generation starts; opens the files that
 * the configuration names.  The kernel copies them: no octet of a key is ever
 * in this process's memory, and what they say is for the roles to judge,
 * which have OpenSSL.
 *
 * Links are followed, since certbot's live/ is made of them; but nobody else
 * than root may own, or be able to change, anything on the way (C24).
 */
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keyring.h"
#include "keyring_layout.h"

/* An open file as it was seen. */
struct source {
	const char	*path;		/* in the configuration */
	int		 fd;
	struct stat	 seen;
};

struct pair {
	const char	*name;		/* in the configuration */
	struct source	 chain;
	struct source	 key;
};

/* A header in the making; sizes were reckoned with, so it always fits. */
struct writer {
	uint8_t	*octets;
	size_t	 len;
};

static int	report_wrong(config_report, const char *, const char *, ...)
		    __attribute__((format(printf, 3, 4)));

static int
report_wrong(config_report report, const char *file, const char *fmt, ...)
{
	char text[CONFIG_PATH_MAX + 256];
	size_t n;
	va_list ap;

	snprintf(text, sizeof(text), "%s: ", file);
	n = strlen(text);
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	report(text);
	return -1;
}

static void
put_number(struct writer *w, uint32_t v)
{
	int i;

	for (i = 0; i < 4; i++)
		w->octets[w->len++] = (uint8_t)(v >> (8 * i));
}

static void
put_text(struct writer *w, const char *s)
{
	size_t len = strlen(s);

	put_number(w, (uint32_t)len);
	memcpy(w->octets + w->len, s, len);
	w->len += len;
}

static void
put_header(struct writer *w, const struct pair *pairs, size_t count,
    int with_keys)
{
	size_t i;

	w->len = 0;
	put_number(w, KEYRING_MAGIC);
	put_number(w, with_keys != 0);
	put_number(w, (uint32_t)count);
	for (i = 0; i < count; i++) {
		put_text(w, pairs[i].name);
		put_text(w, pairs[i].chain.path);
		put_text(w, with_keys ? pairs[i].key.path : "");
		put_number(w, (uint32_t)pairs[i].chain.seen.st_size);
		put_number(w, with_keys ?
		    (uint32_t)pairs[i].key.seen.st_size : 0);
	}
	put_number(w, KEYRING_END);
}

/* Is this a file that we may believe, and a key that nobody else reads? */
static int
check_file(const char *path, const struct stat *st, int is_key,
    config_report report)
{
	if (!S_ISREG(st->st_mode))
		return report_wrong(report, path, "not a regular file");
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return report_wrong(report, path, "belongs to uid %u; it must "
		    "be root's", st->st_uid);
	if ((st->st_mode & 022) != 0)
		return report_wrong(report, path, "can be changed by others "
		    "than its owner (mode %04o)", st->st_mode & 07777);
	if (is_key && ((st->st_mode & 007) != 0 ||
	    ((st->st_mode & 070) != 0 && st->st_uid != 0)))
		return report_wrong(report, path, "a private key must not be "
		    "readable by others (mode %04o)", st->st_mode & 07777);
	if (st->st_size == 0)
		return report_wrong(report, path, "empty");
	if (st->st_size > KEYRING_PEM_MAX)
		return report_wrong(report, path, "larger than %d octets",
		    KEYRING_PEM_MAX);
	return 0;
}

static int
is_same_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	    a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	    a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Append exactly the file as it was seen, or nothing that will be used. */
static int
copy_file(int memfd, const struct source *f, config_report report)
{
	size_t left = (size_t)f->seen.st_size;
	off_t at = 0;
	struct stat now;
	ssize_t n;

	while (left > 0) {
		n = sendfile(memfd, f->fd, &at, left);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return report_wrong(report, f->path, "%s",
			    strerror(errno));
		if (n == 0)
			break;
		left -= (size_t)n;
	}
	if (left > 0 || fstat(f->fd, &now) == -1 ||
	    !is_same_state(&f->seen, &now))
		return report_wrong(report, f->path,
		    "changed while it was being read");
	return 0;
}

/* *f is open even if it is not to be used: 0 or -1. */
static int
open_file(struct source *f, const char *path, int is_key, config_report report)
{
	f->path = path;
	f->fd = config_open(path);
	if (f->fd == -1)
		return report_wrong(report, path, "%s", errno == EPERM ?
		    "somebody else than root can change it, or a directory "
		    "or link on the way to it" : strerror(errno));
	if (fstat(f->fd, &f->seen) == -1)
		return report_wrong(report, path, "%s", strerror(errno));
	return check_file(path, &f->seen, is_key, report);
}

static int
open_pair(struct pair *p, const char *name, const char *chain, const char *key,
    config_report report)
{
	int r;

	p->name = name;
	p->key.fd = -1;
	/* Every mistake is told of, not just the first. */
	r = open_file(&p->chain, chain, 0, report);
	return open_file(&p->key, key, 1, report) == -1 ? -1 : r;
}

static void
close_pairs(struct pair *pairs, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (pairs[i].chain.fd != -1)
			close(pairs[i].chain.fd);
		if (pairs[i].key.fd != -1)
			close(pairs[i].key.fd);
	}
}

static int
open_pairs(const struct config *c, struct pair *pairs, config_report report)
{
	const struct certificate *named;
	size_t i;
	int r;

	r = open_pair(&pairs[0], "", c->tls_certificate, c->tls_key, report);
	for (i = 0; i < c->certificate_count; i++) {
		named = &c->certificates[i];
		if (open_pair(&pairs[i + 1], named->name, named->file,
		    named->key, report) == -1)
			r = -1;
	}
	return r;
}

static int
copy_pairs(int memfd, const struct pair *pairs, size_t count, int with_keys,
    config_report report)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (copy_file(memfd, &pairs[i].chain, report) == -1 ||
		    (with_keys &&
		    copy_file(memfd, &pairs[i].key, report) == -1))
			return -1;
	return 0;
}

/* A ring of what is open; a memfd, or -1. */
static int
make_ring(const struct pair *pairs, size_t count, int with_keys,
    config_report report)
{
	static uint8_t header[KEYRING_HEADER_MAX];
	struct writer w = { .octets = header };
	int memfd;

	put_header(&w, pairs, count, with_keys);
	memfd = memfd_create("keyring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memfd == -1)
		return report_wrong(report, "keyring", "%s", strerror(errno));
	if (write(memfd, header, w.len) != (ssize_t)w.len)
		(void)report_wrong(report, "keyring", "%s", strerror(errno));
	else if (copy_pairs(memfd, pairs, count, with_keys, report) == 0) {
		if (fcntl(memfd, F_ADD_SEALS, KEYRING_SEALS) == 0)
			return memfd;
		(void)report_wrong(report, "keyring", "%s", strerror(errno));
	}
	close(memfd);
	return -1;
}

int
keyring_send(const struct config *c, int *certificates, int *keys,
    config_report report)
{
	struct pair pairs[KEYRING_MAX];
	size_t count = c->certificate_count + 1;

	*certificates = *keys = -1;
	if (c->certificate_count > CONFIG_CERTIFICATES_MAX)
		return report_wrong(report, "keyring", "too many certificates");
	/* Opened once: both rings have the same certificates. */
	if (open_pairs(c, pairs, report) == 0) {
		*certificates = make_ring(pairs, count, 0, report);
		if (*certificates != -1)
			*keys = make_ring(pairs, count, 1, report);
	}
	close_pairs(pairs, count);
	if (*keys != -1)
		return 0;
	if (*certificates != -1)
		close(*certificates);
	*certificates = -1;
	return -1;
}
