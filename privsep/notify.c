/*
 * notify: datagrams to the service manager's socket.
 *
 * Runs in the master, as root; touches one socket of its own, which no other
 * process gets, and never waits for it.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "notify.h"

#define STATUS_EVERY	5	/* seconds */

static struct {
	int			 fd;		/* -1: nobody to tell */
	struct sockaddr_un	 to;
	socklen_t		 to_len;
	int64_t			 status_at;	/* when it was last sent */
	size_t			 sessions;	/* as it was sent */
	uint64_t		 served;
} manager = { .fd = -1 };

static void
tell(const char *text)
{
	if (manager.fd != -1)
		(void)sendto(manager.fd, text, strlen(text),
		    MSG_DONTWAIT | MSG_NOSIGNAL,
		    (struct sockaddr *)&manager.to, manager.to_len);
}

void
notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path != NULL ? strlen(path) : 0;

	/* A path, or a name in the abstract, which "@" stands for. */
	if (len > 1 && len < sizeof(manager.to.sun_path) &&
	    (path[0] == '/' || path[0] == '@')) {
		manager.to.sun_family = AF_UNIX;
		memcpy(manager.to.sun_path, path, len);
		if (path[0] == '@')
			manager.to.sun_path[0] = '\0';
		manager.to_len = (socklen_t)(offsetof(struct sockaddr_un,
		    sun_path) + len);
		manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	}
	(void)unsetenv("NOTIFY_SOCKET");
}

void
notify_ready(void)
{
	tell("READY=1");
	manager.status_at = INT64_MIN;	/* the status is due, changed or not */
}

void
notify_reloading(void)
{
	char text[64];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
	    (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	tell(text);
}

void
notify_stopping(void)
{
	tell("STOPPING=1\nSTATUS=Ending sessions");
}

void
notify_status(int64_t now, size_t sessions, uint64_t served)
{
	char text[96];

	if (manager.fd == -1 || (manager.status_at != INT64_MIN &&
	    (now - manager.status_at < STATUS_EVERY ||
	    (sessions == manager.sessions && served == manager.served))))
		return;
	manager.status_at = now;
	manager.sessions = sessions;
	manager.served = served;
	snprintf(text, sizeof(text), "STATUS=%zu sessions, %" PRIu64
	    " served", sessions, served);
	tell(text);
}
