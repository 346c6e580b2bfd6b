/*
 * spool_letter: a letter written to a spool in a new directory, and its octets,
 * for what damages them; each program that uses it has one source.
 */
#ifndef TESTS_SPOOL_LETTER_H
#define TESTS_SPOOL_LETTER_H

#include <sys/mman.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "smtpd/spool_format.h"
#include "spool_home.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

static const char content[] =
    "Received: here\nSubject: x\n\nFrom here\n.\n\nlast";

static int
setup(void **state)
{
	(void)state;
	return setup_spool();
}

static void
make_envelope(void)
{
	envelope_reset(&envelope);
	envelope_put_recipient(&envelope, "alice", "here.example", "alice");
	envelope_put_recipient(&envelope, "po\"st er", "[192.0.2.1]", "");
	envelope_put_recipient(&envelope, "postmaster", "", "");
	envelope_put_text(&envelope, ENVELOPE_SENDER, "bob@there.example");
	envelope_put_text(&envelope, ENVELOPE_HELO, "there.example");
	envelope_put_text(&envelope, ENVELOPE_CLIENT, "2001:db8::1");
	envelope_put_u32(&envelope, ENVELOPE_FLAGS, MAIL_ESMTP);
	envelope_put_text(&envelope, 99, "of a later version");
}

static struct spool_name
write_letter(void)
{
	struct spool_name name;

	make_envelope();
	assert_int_equal(spool_begin(&writer, &spool, &envelope), 0);
	spool_put(&writer, content, sizeof(content) - 1);
	assert_int_equal(spool_commit(&writer, &name), 0);
	return name;
}

/* A copy of a letter's octets, as a file of its own. */
static int
scratch(const uint8_t *data, size_t len)
{
	int fd = memfd_create("letter", MFD_CLOEXEC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, data, len), len);
	return fd;
}

static size_t
slurp(const struct spool_name *name, uint8_t *data, size_t size)
{
	char text[SPOOL_NAME_MAX];
	ssize_t n;
	int fd;

	assert_int_equal(spool_name_print(name, text), 0);
	fd = openat(spool.queue, text, O_RDONLY);
	n = read(fd, data, size);
	close(fd);
	assert_true(n > 0);
	return (size_t)n;
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
