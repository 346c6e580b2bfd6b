/*
 * role: how every executable under libexec begins, and how it loses what it
 * does not need.  Everything here is fatal() on failure: fail closed.
 */
#ifndef PRIVSEP_ROLE_H
#define PRIVSEP_ROLE_H

#include "config.h"

/*
 * Check that the fixed descriptors of this role are there and of the right
 * kind, close all others, start logging, reset signals (SIGPIPE ignored),
 * decode the configuration.  has_link and has_hint say whether FD_LINK and
 * FD_HINT are expected (FD_HINT may be absent for agents: returns whether it
 * is there).
 */
int	role_start(const char *name, enum role, int has_link, int has_hint,
	    struct config *);

/*
 * Queue only: become queue-user for good (with proof), undumpable, no new
 * privileges, rlimits; then Landlock: full use of spool, read of the
 * directory that holds the aliases file (-1: none); then seccomp: files, the
 * descriptors it has, poll and timers; no socket, exec, fork.
 */
void	role_confine_queue(const struct config *, int spool, int aliases_dir);

#endif
