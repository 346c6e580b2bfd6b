/*
 * message: one request or reply on a SOCK_SEQPACKET channel.
 *
 * Encoded and decoded field by field; put_x() and get_x() are mirror images,
 * and a decoder ends with get_end(), which insists that nothing is left.
 * Errors are sticky: a put that does not fit, or a get that finds too little,
 * marks the message, and message_send() or get_end() reports it.  A struct is
 * never copied to or from the wire.
 *
 * On the wire: u32 type, then the fields; integers are little-endian, strings
 * and data carry a u32 length and no NUL.
 */
#ifndef PRIVSEP_MESSAGE_H
#define PRIVSEP_MESSAGE_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#define MESSAGE_MAX	8192	/* octets of fields in one message */
#define MESSAGE_FDS_MAX	16	/* descriptors in one message */
#define MESSAGE_NO_UID	((uid_t)-1)

struct message {
	uint32_t	type;
	uint32_t	bad;		/* sticky error */
	size_t		len;		/* octets of data in use */
	size_t		pos;		/* next octet to get */
	int		nfds;		/* descriptors carried */
	int		next_fd;	/* next descriptor to get */
	int		fds[MESSAGE_FDS_MAX];
	/*
	 * Who sent it, by the kernel's word, where the receiving socket has
	 * SO_PASSCRED; elsewhere MESSAGE_NO_UID and 0.
	 */
	uid_t		uid;
	pid_t		pid;
	uint8_t		data[MESSAGE_MAX];
};

/* Start a message of this type; nothing is allocated. */
void	message_begin(struct message *, uint32_t type);

void	put_u32(struct message *, uint32_t);
void	put_u64(struct message *, uint64_t);
void	put_data(struct message *, const void *, size_t);
void	put_str(struct message *, const char *);
/* The descriptor stays the caller's, who may close it after sending. */
void	put_fd(struct message *, int);

uint32_t	get_u32(struct message *);
uint64_t	get_u64(struct message *);
/* Copies at most dstsize octets, the length goes to *len. */
void	get_data(struct message *, void *dst, size_t dstsize, size_t *len);
/*
 * Copies a string and terminates it.  One that does not fit in dstsize with
 * its NUL, or that holds a NUL, marks the message bad and leaves dst empty.
 */
void	get_str(struct message *, char *dst, size_t dstsize);
/* The descriptor is the caller's from now on; -1 marks the message bad. */
int	get_fd(struct message *);

/*
 * 0 when every field and descriptor was taken and none was missing, else -1
 * with errno EBADMSG.  Descriptors not taken are closed.
 */
int	get_end(struct message *);

/* Close the descriptors that were received and not taken; wipe the fields. */
void	message_discard(struct message *);

/*
 * Send; 0, or -1 with errno (EMSGSIZE for a bad message, EAGAIN when
 * the socket does not block and is full).  Never raises SIGPIPE.
 */
int	message_send(int sock, const struct message *);

/*
 * Receive one message with at most maxfds descriptors: 1 for a message, 0 at
 * end of file, -1 with errno: EBADMSG for one that is too long, too short or
 * carries more descriptors than allowed (these are closed).  Without SO_PASSCRED
 * one of no octets is the end as well: whoever sends it has said its last.
 */
int	message_recv(int sock, struct message *, int maxfds);

/* As message_recv(), but gives up after timeout_ms (-1: never): ETIMEDOUT. */
int	message_wait(int sock, struct message *, int maxfds, int timeout_ms);

#endif
