/*
 * room: which destination may have a connection more, and which connection
 * must end so that others find room.  For the files of outbound.h only.
 */
#ifndef SMTPD_ROOM_H
#define SMTPD_ROOM_H

#include "smtpd/connection.h"

/* Is there a place for one connection more of this destination? */
int	room_is_there(const struct destination *);
/*
 * Others wait: as many connections as they are end, of those on which nothing
 * happens; and who has been slow longest breaks off, if too many are slow.
 */
void	room_make(struct outbound *);
/* When there may be more room by time alone (monotonic ms). */
uint64_t room_next(const struct outbound *);

#endif
