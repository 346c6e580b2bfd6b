/*
 * plain_file: these octets in a file of the disk where the test's program
 * lies, for what must not take a file for a memfd; each program that uses it
 * has one source.
 */
#ifndef TESTS_PLAIN_FILE_H
#define TESTS_PLAIN_FILE_H

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The descriptor; the file has no name. */
static int
plain_file_with(const uint8_t *octets, size_t len)
{
	char path[PATH_MAX] = "";
	int fd;

	assert_in_range(readlink("/proc/self/exe", path, sizeof(path) - 1), 1,
	    sizeof(path) - 1);
	*strrchr(path, '/') = '\0';
	fd = open(path, O_TMPFILE | O_RDWR, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, octets, len), (ssize_t)len);
	return fd;
}

#endif
