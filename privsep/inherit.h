/*
 * inherit: the sockets that whoever started us has given us, and so the way
 * in which we run: inetd's descriptor 0, or systemd's LISTEN_FDS
 * (sd_listen_fds(3), without libsystemd).
 */
#ifndef PRIVSEP_INHERIT_H
#define PRIVSEP_INHERIT_H

#include <stddef.h>

#include "config.h"
#include "daemon.h"

#define INHERIT_MAX	CONFIG_LISTEN_MAX
#define INHERIT_FIRST	3	/* their descriptors, one after the other */

enum start_mode {
	START_ALONE,	/* until it is told to stop */
	START_WAIT,	/* inetd's "wait": until nobody comes any more */
	START_NOWAIT,	/* inetd's "nowait": for one client */
	START_QUEUE	/* for no client: the queue, once */
};

struct inherited {
	int		fd;
	char		name[32];	/* from LISTEN_FDNAMES, or "" */
	enum service	service;
};

struct inheritance {
	enum start_mode		mode;
	size_t			count;	/* connection if START_NOWAIT, else
					 * listening sockets */
	struct inherited	sockets[INHERIT_MAX];
};

/*
 * Find them: descriptor 0 if is_inetd, else what LISTEN_FDS names, if that is
 * meant for this process.  They become descriptors from INHERIT_FIRST on,
 * closed on exec and non-blocking, and the variables are removed.  0, or -1
 * and a constant text of what is wrong with them.
 */
int	inherit_find(struct inheritance *, int is_inetd, const char **wrong);
/*
 * Say of each socket which service it is: by its name, by inetd-service, by
 * a well-known port, by a listen line with its port, or else the daemon's
 * plain one.  0, or -1 when a name is another daemon's service.
 */
int	inherit_services(struct inheritance *, const struct daemon *,
	    const struct config *, const char **wrong);
/*
 * The start failed, or the end came, with sockets still here: tell whoever
 * waits that it is not for now.
 */
void	inherit_refuse(struct inheritance *, const struct daemon *);

/* Could what is written there reach a client? */
int	inherit_is_client(int fd);
/* The address inside a v4-mapped one (RFC 4291, 2.5.5.2), in place. */
void	inherit_unmap(struct sockaddr_storage *);

#endif
