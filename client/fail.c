/*
 * fail: says what went wrong, and ends.
 *
 * Runs in sendmail, as whoever called it; writes to standard error and to the
 * system log: who is called by cron has nobody else who would read it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "fail.h"

#define TEXT_MAX	1000	/* octets, with its NUL */

void
fail(int code, const char *format, ...)
{
	char text[TEXT_MAX], *p;
	va_list args;

	va_start(args, format);
	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = '\0';
	va_end(args);
	for (p = text; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	fprintf(stderr, "sendmail: %s\n", text);
	openlog("sendmail", LOG_PID, LOG_MAIL);
	syslog(LOG_ERR, "uid %u: %s", (unsigned int)getuid(), text);
	exit(code);
}
