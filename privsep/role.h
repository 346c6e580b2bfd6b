/*
 * role: how every executable under libexec begins, and how it loses what it
 * does not need.  Everything here is fatal() on failure: fail closed.
 */
#ifndef PRIVSEP_ROLE_H
#define PRIVSEP_ROLE_H

#include "config.h"
#include "sandbox.h"

#define ROLE_FD(fd)	(1U << (fd))

/*
 * Check that the fixed descriptors of this role are there and of the right
 * kind, close all others, start logging, reset signals (SIGPIPE ignored),
 * decode the configuration.  descriptors: the ROLE_FD() bits of those besides
 * FD_MASTER, FD_LOG and FD_CONFIG; of these all but FD_LINK may be absent, and
 * the bits of those that are there are returned.
 */
unsigned	role_start(const char *name, enum role, unsigned descriptors,
	    struct config *);

/*
 * Spawner, relay and resolver, once, with all warm that they will need: an
 * empty directory is their root, they are this user for good (with proof),
 * undumpable, no new privileges, rlimits; no file is left to them, no socket
 * but those that the table allows, and then this table.
 */
#define ROLE_FORKS	0x01
#define ROLE_CONNECTS	0x02	/* to other hosts, from ports of no choice */
void	role_enclose(const struct config *, const struct account_ids *user,
	    unsigned what, const struct sandbox_filter *);

/*
 * Login, agents, signer, relay and resolver, once: confined and ready to
 * serve.  The master hands nobody to a generation before all of its roles have
 * said so.
 */
void	role_ready(void);

/*
 * Queue only: become queue-user for good (with proof), undumpable, no new
 * privileges, rlimits; then Landlock: full use of spool, read of the
 * directories that hold the aliases and other such files (-1: none); then
 * seccomp: files, the descriptors it has, poll and timers, stream sockets to
 * connect with; no exec, fork, or listening.
 */
#define QUEUE_DIRS_MAX	3
void	role_confine_queue(const struct config *, int spool,
	    const int dirs[QUEUE_DIRS_MAX]);

#endif
