/*
 * fail: says what went wrong, and ends.
 *
 * Runs in sendmail and in postern, as whoever called it; writes to standard
 * error and to the system log: who is called by cron has nobody else who would
 * read it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "fail.h"

#define TEXT_MAX	1000	/* octets, with its NUL */

static const char *name = "sendmail";
static int is_quiet;		/* in the system log */

void
fail_as(const char *program, int is_by_hand)
{
	name = program;
	is_quiet = is_by_hand;
}

static void	say(const char *, va_list)
		    __attribute__((format(printf, 1, 0)));

static void
say(const char *format, va_list args)
{
	char text[TEXT_MAX], *p;

	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = '\0';
	for (p = text; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	fprintf(stderr, "%s: %s\n", name, text);
	if (is_quiet)
		return;
	openlog(name, LOG_PID, LOG_MAIL);
	syslog(LOG_ERR, "uid %u: %s", (unsigned int)getuid(), text);
}

void
complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

void
fail(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	exit(code);
}
