/*
 * standard: standard input, output and error, whoever has closed them.
 *
 * Runs in sendmail and in postern, as whoever called it; opens /dev/null.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "fail.h"
#include "standard.h"

void
standard_open(void)
{
	int fd;

	/* The lowest free number is the one that is missing. */
	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1 &&
		    open("/dev/null", O_WRONLY) != fd)
			fail(EX_OSFILE, "/dev/null: %s", strerror(errno));
}
