/*
 * become: losing privilege, for good and with proof.
 *
 * Every function here is fatal() unless what it claims was seen to hold.
 */
#ifndef PRIVSEP_BECOME_H
#define PRIVSEP_BECOME_H

#include <sys/types.h>

#include <stdint.h>

#define CAP_BIT(c)	(UINT64_C(1) << (c))

/*
 * Between fork and exec: become this user, with one capability (or -1: none)
 * that survives the exec and that become_user() takes away.
 */
void	become_for_exec(uid_t uid, gid_t gid, int capability);

/*
 * Drop every supplementary group, then gid, then uid, and prove that neither
 * the old ids nor a capability can come back.  uid 0 is refused.  Who is that
 * user already, by become_for_exec(), loses the capability, with the same
 * proof.
 */
void	become_user(uid_t uid, gid_t gid);

/* Stay root, with these capabilities only (CAP_BIT() bits), not regainable. */
void	become_limited(uint64_t capabilities);

/* Enter a directory that is empty, root's, and writable by nobody else. */
void	become_enclosed(const char *empty_dir);

/* Undumpable (no core, no ptrace, /proc/self is root's), no new privileges. */
void	become_sealed(void);

/* Lower a resource limit, hard and soft; an already lower one stays. */
void	become_bounded(int resource, uint64_t limit);

/* End with the parent: SIGKILL when it dies.  parent: getpid() before fork. */
void	become_bound_to(pid_t parent);

#endif
