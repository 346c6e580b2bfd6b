/*
 * config_lines: a configuration, lines for it, and what is reported of them;
 * each program that uses it has one source.
 */
#ifndef TESTS_CONFIG_LINES_H
#define TESTS_CONFIG_LINES_H

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/config.h"
#include "privsep/config_table.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

static struct config config, received;
static char last[4096];		/* the last report */
static int reports;

static void
report(const char *text)
{
	snprintf(last, sizeof(last), "%s", text);
	reports++;
}

static int
reset(void **state)
{
	(void)state;
	config_default(&config);
	last[0] = '\0';
	reports = 0;
	return 0;
}

static int
line(const char *text)
{
	return config_line(&config, text, "file:7", report);
}

static int
parse(const char *text)
{
	return config_parse(&config, text, strlen(text), "file", report);
}

static void
assert_refused(const char *text, const char *reason)
{
	reset(NULL);
	if (line(text) != -1)
		fail_msg("accepted: %s", text);
	if (strstr(last, reason) == NULL)
		fail_msg("`%s' reported: %s", text, last);
	assert_int_equal(strncmp(last, "file:7: ", 8), 0);
}

#endif
