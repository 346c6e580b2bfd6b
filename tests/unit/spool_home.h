/*
 * spool_home: a spool in a new directory, what is in it, and its end; each
 * program that uses it has one source.
 */
#ifndef TESTS_SPOOL_HOME_H
#define TESTS_SPOOL_HOME_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/spool_directory.h"

static char place[] = "/tmp/test_spool.XXXXXX";
static int dir = -1;
static struct spool spool;
static struct spool_writer writer;
static struct envelope_writer envelope;

static int
setup_spool(void)
{
	memset(strchr(place, '.') + 1, 'X', 6);
	if (mkdtemp(place) == NULL)
		return -1;
	assert_int_equal(spool_enter(place, geteuid(), &dir), 0);
	assert_int_equal(spool_make(dir), 0);
	assert_int_equal(spool_open(&spool, dir), 0);
	writer.fd = -1;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	remove_spool(&spool, dir);
	envelope_free_writer(&envelope);
	return rmdir(place);
}

#endif
