/*
 * relay_recipients: the file of who there is in the relay domains.
 *
 * Runs in the session agent, as queue-user; reads that file through a
 * descriptor that was opened before the process confined itself.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "privsep/log.h"
#include "smtpd/address.h"
#include "smtpd/relay_recipients.h"

#define PIECE_SIZE	65536

/* A line as it is being put together from pieces of the file. */
struct line {
	char	text[ADDRESS_PRINT_MAX];
	size_t	len;
	int	is_comment;
	int	is_too_long;	/* no address */
};

/*
 * Who can write it can have anything sent through here: so nobody but root may
 * (C24), and a FIFO is no file.  -1 with errno.
 */
static int
open_safely(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0) {
		if (S_ISREG(st.st_mode) && st.st_uid == 0 &&
		    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
			return fd;
		errno = EPERM;
	}
	close(fd);
	return -1;
}

void
relay_recipients_open(struct relay_recipients *r, const struct config *config)
{
	r->is_set = config->relay_recipients[0] != '\0';
	r->fd = -1;
	if (!r->is_set)
		return;
	r->fd = open_safely(config->relay_recipients);
	if (r->fd == -1)
		log_event(LOG_ERR, 0, "event=relay-recipients error=\"%s: "
		    "%s\"", config->relay_recipients, strerror(errno));
}

void
relay_recipients_close(struct relay_recipients *r)
{
	if (r->fd != -1)
		close(r->fd);
	r->fd = -1;
}

/* Blanks don't count: no address of a relay domain can have one. */
static void
add(struct line *line, char c)
{
	if (c == '#')
		line->is_comment = 1;
	if (line->is_comment || c == ' ' || c == '\t' || c == '\r')
		return;
	if (line->len + 1 == sizeof(line->text))
		line->is_too_long = 1;
	else
		line->text[line->len++] = c;
}

/* The line is over: is it this address? */
static int
ends(struct line *line, const char *address, const char *domain)
{
	int is_it;

	line->text[line->len] = '\0';
	is_it = !line->is_too_long && line->len > 0 &&
	    (strcasecmp(line->text, address) == 0 ||
	    (line->text[0] == '@' && strcasecmp(line->text + 1, domain) == 0));
	memset(line, 0, sizeof(*line));
	return is_it;
}

int
relay_recipients_find(const struct relay_recipients *r, const char *local,
    const char *domain)
{
	static char piece[PIECE_SIZE];
	char address[ADDRESS_PRINT_MAX];
	struct line line;
	off_t at = 0;
	ssize_t n, i;

	if (!r->is_set)
		return 1;
	if (r->fd == -1 || snprintf(address, sizeof(address), "%s@%s", local,
	    domain) >= (int)sizeof(address)) {
		errno = EBADF;
		return -1;
	}
	memset(&line, 0, sizeof(line));
	while ((n = pread(r->fd, piece, sizeof(piece), at)) > 0) {
		for (i = 0; i < n; i++) {
			if (piece[i] != '\n')
				add(&line, piece[i]);
			else if (ends(&line, address, domain))
				return 1;
		}
		at += n;
	}
	if (n == -1)
		return -1;
	return ends(&line, address, domain);
}
