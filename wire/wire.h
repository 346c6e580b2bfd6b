/*
 * wire: what both protocols speak through: bounded lines in, buffered replies
 * out, one write per batch of pipelined commands.  Runs in the worker only.
 *
 * The transport is two functions, so that TLS can take the place of the plain
 * socket in mid-session.  They return as recv() and send() do; EAGAIN means to
 * wait.  The descriptor does not block.  A whole line, a chunk, and a buffer of
 * output each have timeout_ms, however slowly the octets trickle.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_IN_SIZE	16384	/* octets, and so the longest line */

/*
 * Large, since each write costs the kernel a walk through its network; pages
 * of it that no output ever reached cost nothing.
 */
#define WIRE_OUT_SIZE	65536

enum wire_status {
	WIRE_OK = 0,
	WIRE_TOO_LONG,		/* a line over the limit was thrown away whole */
	WIRE_EOF,		/* the peer closed */
	WIRE_TIMEOUT,		/* waited for longer than the timeout */
	WIRE_SHUTDOWN,		/* the watched descriptor ended: say goodbye */
	WIRE_ERROR		/* errno */
};

struct wire {
	int		 fd;
	int		 timeout_ms;	/* longest wait, -1: none */
	int		 watch;		/* its end of file is WIRE_SHUTDOWN; -1 none */
	int		 watch_loosely;	/* ... but not what is sent there */
	ssize_t		(*transport_read)(struct wire *, void *, size_t);
	ssize_t		(*transport_write)(struct wire *, const void *, size_t);
	void		*transport;	/* theirs */
	/*
	 * What the transport waits for after EAGAIN, when that is not what it
	 * was asked to do: a reader of TLS may have to write first.  POLLIN or
	 * POLLOUT; 0: reading waits for input, writing for room.
	 */
	short		 transport_wants;
	/*
	 * Called when the peer showed life: octets came, or it took octets
	 * that it had let wait.  Or NULL.
	 */
	void		(*heard)(void *);
	void		*heard_arg;
	enum wire_status failed;	/* of a write: sticky, later ones do nothing */
	int		 error;		/* errno of that */
	size_t		 in_start;	/* unread input: [in_start, in_end) */
	size_t		 in_end;
	size_t		 out_len;
	uint8_t		 in[WIRE_IN_SIZE];
	uint8_t		 out[WIRE_OUT_SIZE];
};

/* Plain socket; fd must not block, and stays the caller's. */
void	wire_init(struct wire *, int fd, int timeout_ms);

/*
 * The next line without its line end, in place and NUL-terminated (valid until
 * the next call), *len octets of it, which may hold NULs.  CR LF ends a line;
 * a lone LF does too if lf_ok, otherwise it is part of it, as a lone CR is.
 * max counts octets with the CR LF, at most WIRE_IN_SIZE - 1.  When nothing
 * is buffered, pending output is flushed before waiting: so replies to
 * pipelined commands leave together.  The buffer holds no second copy of a
 * line, so that a secret can be wiped where it stands.
 */
enum wire_status wire_line(struct wire *, size_t max, int lf_ok, char **line,
	    size_t *len);

/*
 * Raw input for DATA: *chunk is what is buffered (at least one octet, after
 * waiting); wire_consume() says how much of it was used.
 */
enum wire_status wire_chunk(struct wire *, const uint8_t **chunk, size_t *len);
void	wire_consume(struct wire *, size_t);

/*
 * While somebody else works on the answer, wait until fd has it.  Nobody waits
 * for it any more if the peer has vanished, or has closed, has nothing more
 * to say and is not answered within a second: WIRE_EOF.
 */
enum wire_status wire_await(struct wire *, int fd);

/* Is input buffered that has not been read? (what STLS must refuse) */
size_t	wire_buffered(const struct wire *);
/*
 * Look for input without waiting: 1 if a read would not have to wait, since
 * something is buffered or the connection has ended; 0 if there is nothing.
 */
int	wire_has_input(struct wire *);

/* Append to the output; full buffers are written. Errors are sticky. */
void	wire_put(struct wire *, const void *, size_t);
/* The same, and CR LF after it. */
void	wire_put_line(struct wire *, const void *, size_t);
/* One that does not fit in WIRE_OUT_SIZE fails with EMSGSIZE. */
void	wire_printf(struct wire *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));
/*
 * Room for output to be written in place: at least so many octets (less than
 * WIRE_OUT_SIZE) at *room, and how many; 0 if a write has failed.  What was
 * written there is appended by wire_advance(), before any other call.
 */
size_t	wire_room(struct wire *, size_t least, uint8_t **room);
void	wire_advance(struct wire *, size_t);
/* Write all pending output; WIRE_OK or what went wrong. */
enum wire_status wire_flush(struct wire *);

/* For transports: a clock in ms that nobody sets back. */
int64_t	wire_clock(void);
/*
 * For transports: wait until the descriptor has one of these poll() events;
 * WIRE_TIMEOUT once wire_clock() has passed deadline (-1: never).
 */
enum wire_status wire_wait(struct wire *, short events, int64_t deadline);

#endif
