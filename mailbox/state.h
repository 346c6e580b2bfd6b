/*
 * state: ~/.postern, where Postern keeps what it must remember of one user
 * and what no mailbox has a place for: locks, journals, stamps.  It is the
 * user's own, mode 0700, and every file in it is the user's, mode 0600.  A
 * user can remove it, and loses nothing but that memory.
 *
 * A confined process can open files there only if the directory is among
 * those that it was given (agent_confine), so whoever needs a single file
 * opens it before, and whoever needs the directory hands it on.
 */
#ifndef MAILBOX_STATE_H
#define MAILBOX_STATE_H

#include <sys/types.h>

#include "../privsep/facts.h"

#define STATE_DIRECTORY	".postern"

/*
 * The directory, open for reading and syncing; made if it is not there.  The
 * home is opened as it is, ~/.postern never through a link.  -1 with errno:
 * ENOENT the home is not there (not mounted?), EPERM somebody else's, or
 * others may write to it, ENOTDIR or ELOOP something else.
 */
int	state_enter(const struct identity *);

/*
 * A file in it, never through a link: flags as open(2) has them (O_RDWR |
 * O_CREAT, say; O_CLOEXEC and what keeps a FIFO from hanging us is added).
 * -1 with errno: EPERM is a file that is not regular, has another owner, or
 * has a second name.  Where there is no ~/.postern (-1) there is no file, and
 * none can be made (EROFS).
 */
int	state_open(int state, const char *name, int flags, uid_t owner);

#endif
