/*
 * spool_home: a spool in a new directory, what is in it, and its end; each
 * program that uses it has one source.
 */
#ifndef TESTS_SPOOL_HOME_H
#define TESTS_SPOOL_HOME_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/spool.h"

static char place[] = "/tmp/test_spool.XXXXXX";
static int dir = -1;
static struct spool spool;
static struct spool_writer writer;
static struct envelope_writer envelope;

static int
setup_spool(void)
{
	strcpy(strchr(place, '.') + 1, "XXXXXX");
	if (mkdtemp(place) == NULL)
		return -1;
	assert_int_equal(spool_enter(place, geteuid(), &dir), 0);
	assert_int_equal(spool_make(dir), 0);
	assert_int_equal(spool_open(&spool, dir), 0);
	writer.fd = -1;
	return 0;
}

static void
empty(int at)
{
	struct dirent *entry;
	DIR *d = fdopendir(openat(at, ".", O_RDONLY | O_DIRECTORY));

	while ((entry = readdir(d)) != NULL)
		(void)unlinkat(at, entry->d_name, 0);
	closedir(d);
}

static int
teardown(void **state)
{
	static const char *const names[] = { "incoming", "queue", "held",
	    "failed" };
	size_t i;

	(void)state;
	empty(spool.incoming);
	empty(spool.queue);
	empty(spool.held);
	empty(spool.failed);
	spool_close(&spool);
	for (i = 0; i < 4; i++)
		(void)unlinkat(dir, names[i], AT_REMOVEDIR);
	close(dir);
	envelope_free_writer(&envelope);
	return rmdir(place);
}

/* Names that are no hidden ones. */
static size_t
count_in(int at)
{
	struct dirent *entry;
	size_t n = 0;
	DIR *d = fdopendir(openat(at, ".", O_RDONLY | O_DIRECTORY));

	while ((entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

#endif
