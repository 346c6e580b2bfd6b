/*
 * syslog: lines to the host's syslog that can never make the master wait.
 *
 * Runs in the master, as root; touches the socket /dev/log.  syslog(3) blocks
 * when its reader hangs, and with it would the whole daemon.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "syslog.h"

#define PATH	"/dev/log"

static struct {
	const char	*ident;
	int		 fd;		/* -1: not connected */
	time_t		 tried;		/* when we last connected */
	unsigned long	 dropped;
} out = { .fd = -1 };

static void
reconnect(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	time_t now = time(NULL);

	if (out.tried == now)
		return;
	out.tried = now;
	if (out.fd != -1)
		close(out.fd);
	strlcpy(sun.sun_path, PATH, sizeof(sun.sun_path));
	out.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (out.fd != -1 && connect(out.fd, (struct sockaddr *)&sun,
	    sizeof(sun)) == -1) {
		close(out.fd);
		out.fd = -1;
	}
}

static int
transmit(int level, const char *line)
{
	char packet[LOG_LINE_MAX + 128], stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	int n;

	if (localtime_r(&now, &tm) == NULL ||
	    strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm) == 0)
		stamp[0] = '\0';
	n = snprintf(packet, sizeof(packet), "<%d>%s %s[%d]: %s",
	    LOG_MAIL | level, stamp, out.ident, (int)getpid(), line);
	if (n < 0 || (size_t)n >= sizeof(packet))
		n = (int)sizeof(packet) - 1;
	if (out.fd == -1)
		reconnect();
	if (out.fd != -1 && send(out.fd, packet, (size_t)n,
	    MSG_DONTWAIT | MSG_NOSIGNAL) == n)
		return 0;
	if (out.fd != -1 && errno != EAGAIN && errno != EMSGSIZE)
		reconnect();		/* it was restarted, perhaps */
	return -1;
}

void
syslog_begin(const char *ident)
{
	/* Nothing is open now: closefrom(), or syslog_end(), saw to that. */
	out.ident = ident;
	out.fd = -1;
	out.tried = 0;
	reconnect();
}

void
syslog_end(void)
{
	if (out.fd != -1)
		close(out.fd);
	out.fd = -1;
}

void
syslog_line(int level, const char *line)
{
	char text[64];

	if (out.dropped > 0) {
		snprintf(text, sizeof(text), "event=log-dropped lines=%lu",
		    out.dropped);
		if (transmit(LOG_WARNING, text) == -1) {
			out.dropped++;
			return;
		}
		out.dropped = 0;
	}
	if (transmit(level, line) == -1)
		out.dropped++;
}
