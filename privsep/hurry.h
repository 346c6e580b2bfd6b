/*
 * hurry: close a socket of this host's users without waiting for anything.
 *
 * What a user sends over a Unix socket may have descriptors with it, and those
 * that nobody has taken are closed with the socket: by whoever closes it, who
 * then waits for as long as the user has said (SO_LINGER of a TCP socket whose
 * peer does not read).
 */
#ifndef PRIVSEP_HURRY_H
#define PRIVSEP_HURRY_H

/*
 * From here to hurry_end() a call that waits is interrupted after a few
 * milliseconds.  Takes SIGALRM and the interval timer; does not nest.
 */
void	hurry_begin(void);
void	hurry_end(void);
/* close(2), with these around it. */
void	hurry_close(int fd);

#endif
