/*
 * sigchld: has a child ended?  For who waits for children and descriptors in
 * ppoll(2), however busy the descriptors are.
 */
#ifndef PRIVSEP_SIGCHLD_H
#define PRIVSEP_SIGCHLD_H

#include <signal.h>

/*
 * Block SIGCHLD, so that it comes in only during ppoll() with this mask, which
 * is the caller's from now on.
 */
void	sigchld_begin(sigset_t *while_waiting);
/* Did one end since this was last asked? */
int	sigchld_came(void);

#endif
