/*
 * local: Unix sockets that clients of this host connect to.  Internal to the
 * master.
 */
#ifndef PRIVSEP_LOCAL_H
#define PRIVSEP_LOCAL_H

#include <sys/stat.h>
#include <sys/types.h>

#include <stdint.h>

#include "config.h"

/* A listener at run-dir/name; 0, or -1: the path is too long for a socket. */
int	local_listener(struct listener *, enum service, const char *run_dir,
	    const char *name);
/*
 * Make the socket and its file, in a directory that only root can change, open
 * to whom the service is for: everybody, or with LMTP this group.  A file that
 * was left behind is replaced if it is a socket of ours that nobody listens
 * on.  The descriptor, which *file tells from others later, or -1 with errno.
 */
int	local_open(const struct listener *, gid_t, struct stat *file);
/* Remove the file, if it still is that one. */
void	local_remove(const struct listener *, const struct stat *file);
/* Who connected, as the kernel says; 0, or -1: it does not. */
int	local_peer(int fd, uint32_t *uid);

#endif
