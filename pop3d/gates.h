/*
 * The POP3 gates: what a worker can ask the agent that is the user.
 * The request, its ask_x() in the worker and its answer_x() in the agent share
 * a stem.  LOGIN comes before these and is answered by login.
 */
#ifndef POP3D_GATES_H
#define POP3D_GATES_H

enum pop3_request {
	REQ_OPEN = 0x101,	/* () -> u32 verdict, u32 count, u64 octets,
				 *  and if the verdict is OPEN_OK a sealed
				 *  memfd: count records of POP3_RECORD octets,
				 *  u64 octets (LE), then UIDL, NUL-padded */
	REQ_FETCH,		/* u32 first, u32 count (1-16) -> u32 n, then n
				 *  of u32 verdict, u64 offset, u64 length,
				 *  u32 content (enum mailbox_content), u64
				 *  stamp; a descriptor for each FETCH_OK */
	REQ_EXPUNGE,		/* u32 first octet of the bitmap, u32 last (1:
				 *  act now), data -> u32 failed; on disk */
	REQ_RECOUNT		/* u32 number: it has another size than what
				 *  OPEN said -> (); ends the session */
};
#define REPLY_OF(request)	((request) | 0x8000)

#define POP3_RECORD	80
#define POP3_FETCH_MAX	16
#define POP3_BITMAP_MAX	4096	/* octets a message */

enum pop3_open { OPEN_OK, OPEN_IN_USE, OPEN_TEMPFAIL, OPEN_LOGIN_DELAY };
/*
 * What a descriptor stands for may move as long as several messages are in one
 * file.  The stamp says which state of it offset and length are of: one that
 * is not this one any more is asked for again.  0: nothing can move.
 */
#define POP3_STAMP(st)	((uint64_t)(st)->st_mtim.tv_sec * 1000000000 + \
			    (uint64_t)(st)->st_mtim.tv_nsec + \
			    ((uint64_t)(st)->st_size << 20) + 1)

enum pop3_fetch { FETCH_OK, FETCH_GONE, FETCH_TEMPFAIL };

#endif
