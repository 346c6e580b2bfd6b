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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyring.h"
#include "keyring_layout.h"

/* What is about to be sent; names point into the configuration. */
struct outgoing {
	const char	*name;
	const char	*chain_file;
	const char	*key_file;	/* "" when keys stay here */
	uint32_t	 chain_len;
	uint32_t	 key_len;
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
put_header(struct writer *w, const struct outgoing *pairs, size_t count,
    int with_keys)
{
	size_t i;

	w->len = 0;
	put_number(w, KEYRING_MAGIC);
	put_number(w, with_keys != 0);
	put_number(w, (uint32_t)count);
	for (i = 0; i < count; i++) {
		put_text(w, pairs[i].name);
		put_text(w, pairs[i].chain_file);
		put_text(w, pairs[i].key_file);
		put_number(w, pairs[i].chain_len);
		put_number(w, pairs[i].key_len);
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
copy_file(int memfd, int fd, const char *path, const struct stat *seen,
    config_report report)
{
	size_t left = (size_t)seen->st_size;
	struct stat now;
	ssize_t n;

	while (left > 0) {
		n = sendfile(memfd, fd, NULL, left);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return report_wrong(report, path, "%s",
			    strerror(errno));
		if (n == 0)
			break;
		left -= (size_t)n;
	}
	if (left > 0 || fstat(fd, &now) == -1 || !is_same_state(seen, &now))
		return report_wrong(report, path,
		    "changed while it was being read");
	return 0;
}

static int
add_file(int memfd, const char *path, int is_key, uint32_t *len,
    config_report report)
{
	struct stat st;
	int fd, r;

	fd = config_open(path);
	if (fd == -1)
		return report_wrong(report, path, "%s", errno == EPERM ?
		    "somebody else than root can change it, or a directory "
		    "or link on the way to it" : strerror(errno));
	if (fstat(fd, &st) == -1)
		r = report_wrong(report, path, "%s", strerror(errno));
	else
		r = check_file(path, &st, is_key, report);
	if (r == 0)
		r = copy_file(memfd, fd, path, &st, report);
	if (r == 0)
		*len = (uint32_t)st.st_size;
	close(fd);
	return r;
}

static size_t
name_pairs(const struct config *c, int with_keys, struct outgoing *pairs)
{
	size_t i, n = 0;

	pairs[n++] = (struct outgoing){ .name = "",
	    .chain_file = c->tls_certificate,
	    .key_file = with_keys ? c->tls_key : "" };
	for (i = 0; i < c->certificate_count; i++)
		pairs[n++] = (struct outgoing){
		    .name = c->certificates[i].name,
		    .chain_file = c->certificates[i].file,
		    .key_file = with_keys ? c->certificates[i].key : "" };
	return n;
}

/* Every mistake is told of, not just the first. */
static int
add_files(int memfd, struct outgoing *pairs, size_t count, int with_keys,
    config_report report)
{
	size_t i;
	int r = 0;

	for (i = 0; i < count; i++) {
		if (add_file(memfd, pairs[i].chain_file, 0,
		    &pairs[i].chain_len, report) == -1)
			r = -1;
		if (with_keys && add_file(memfd, pairs[i].key_file, 1,
		    &pairs[i].key_len, report) == -1)
			r = -1;
	}
	return r;
}

/* The header last: only then are the lengths known that were copied. */
static int
fill(int memfd, struct outgoing *pairs, size_t count, int with_keys,
    uint8_t *header, config_report report)
{
	struct writer w = { .octets = header };

	put_header(&w, pairs, count, with_keys);
	if (lseek(memfd, (off_t)w.len, SEEK_SET) == -1)
		return report_wrong(report, "keyring", "%s", strerror(errno));
	if (add_files(memfd, pairs, count, with_keys, report) == -1)
		return -1;
	put_header(&w, pairs, count, with_keys);
	if (pwrite(memfd, header, w.len, 0) != (ssize_t)w.len ||
	    fcntl(memfd, F_ADD_SEALS, KEYRING_SEALS) == -1)
		return report_wrong(report, "keyring", "%s", strerror(errno));
	return 0;
}

int
keyring_send(const struct config *c, int with_keys, config_report report)
{
	struct outgoing pairs[KEYRING_MAX];
	uint8_t *header;
	size_t count;
	int memfd;

	if (c->certificate_count > CONFIG_CERTIFICATES_MAX)
		return report_wrong(report, "keyring", "too many certificates");
	count = name_pairs(c, with_keys, pairs);
	header = malloc(KEYRING_HEADER_MAX);
	memfd = memfd_create("keyring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (header == NULL || memfd == -1)
		(void)report_wrong(report, "keyring", "%s", strerror(errno));
	else if (fill(memfd, pairs, count, with_keys, header, report) == 0) {
		free(header);
		return memfd;
	}
	free(header);
	if (memfd != -1)
		close(memfd);
	return -1;
}
