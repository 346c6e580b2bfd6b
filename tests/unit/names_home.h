/*
 * names_home: what the tests of the files of names share: reports are counted,
 * files are put on disk, and octets of an index damaged; each program that uses
 * it has one source.
 */
#ifndef TESTS_NAMES_HOME_H
#define TESTS_NAMES_HOME_H

#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/config.h"
#include "privsep/config_table.h"
#include "smtpd/domain_map.h"
#include "smtpd/expand.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

static struct config config;
static struct expansion x;
static size_t reports, last_line;

static void
report(const char *path, size_t line, const char *text)
{
	assert_non_null(path);
	assert_non_null(text);
	reports++;
	last_line = line;
}

static void
put(const char *path, const char *text, mode_t mode)
{
	FILE *f;

	(void)unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

/* Done twice, it is as it was. */
static void
flip_octet(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t octet;

	assert_int_equal(pread(fd, &octet, 1, at), 1);
	octet ^= 0x10;
	assert_int_equal(pwrite(fd, &octet, 1, at), 1);
	close(fd);
}

#endif
