/*
 * fill: many letters in a spool, at once, for tests/bench/queue.
 *
 *	fill SPOOL COUNT SIZE SECONDS WITHIN DOMAINS LOCAL DOMAIN
 *
 * COUNT letters of SIZE octets, due SECONDS from now (if that is 0: new, as
 * from a session; else as if they had been deferred) and WITHIN more, spread
 * evenly; each is for LOCAL at DOMAIN, or, with DOMAINS more than 1, at
 * "dN.DOMAIN", N below DOMAINS in turn.
 *
 * Runs in no process of ours, as the spool's owner; touches the spool.  The
 * letters are those that smtpd writes, by the same functions, but for the
 * syncs, which are none here.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "smtpd/spool.h"

static const char line[] =
    "The quick brown fox jumps over the lazy dog, again and again.\n";

/* In place of the C library's. */
int
fsync(int fd)
{
	(void)fd;
	return 0;
}

int
fdatasync(int fd)
{
	(void)fd;
	return 0;
}

static uint64_t
number(const char *text, long long least)
{
	const char *error;
	long long v = strtonum(text, least, 1000000000, &error);

	if (error != NULL)
		errx(1, "%s is %s", text, error);
	return (uint64_t)v;
}

static void
write_letter(struct spool *spool, const char *local, const char *domain,
    uint64_t size, struct spool_name *name)
{
	static struct envelope_writer envelope;
	static struct spool_writer w;
	size_t n;

	envelope_reset(&envelope);
	envelope_put_text(&envelope, ENVELOPE_SENDER, "");
	envelope_put_text(&envelope, ENVELOPE_HELO, "client.example.test");
	envelope_put_text(&envelope, ENVELOPE_CLIENT, "127.0.0.1");
	envelope_put_recipient(&envelope, local, domain, "");
	if (spool_begin(&w, spool, &envelope) == -1)
		err(1, "a letter");
	spool_put(&w, "Subject: one of many\n\n", 22);
	while (w.length < size) {
		n = sizeof(line) - 1;
		spool_put(&w, line, size - w.length < n ?
		    (size_t)(size - w.length) : n);
	}
	if (spool_commit(&w, name) == -1)
		err(1, "a letter");
}

static void
fill(struct spool *spool, char *argv[])
{
	uint64_t count = number(argv[2], 0), size = number(argv[3], 0);
	uint64_t due = (uint64_t)time(NULL) + number(argv[4], -1000000000);
	uint64_t within = number(argv[5], 0), domains = number(argv[6], 0), i;
	struct spool_name name;
	char domain[256];

	memset(&name, 0, sizeof(name));
	for (i = 0; i < count; i++) {
		if (domains > 1)
			snprintf(domain, sizeof(domain), "d%llu.%s",
			    (unsigned long long)(i % domains), argv[8]);
		else
			strlcpy(domain, argv[8], sizeof(domain));
		write_letter(spool, argv[7], domain, size, &name);
		if (spool_defer(spool, &name, due + i % (within + 1)) == -1)
			err(1, "a letter's name");
	}
}

int
main(int argc, char *argv[])
{
	struct spool spool;
	int dir;

	if (argc != 9)
		errx(1, "usage: fill spool count size seconds within domains "
		    "local domain");
	dir = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (dir == -1 || spool_make(dir) == -1 ||
	    spool_open(&spool, dir) == -1)
		err(1, "%s", argv[1]);
	fill(&spool, argv);
	spool_close(&spool);
	return 0;
}
