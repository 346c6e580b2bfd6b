/*
 * message: encode, decode, send and receive one message on a channel.
 *
 * Runs in every process, as whoever that is; touches the channel's socket
 * and the descriptors that ride on it, nothing else.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "message.h"

#define TYPE_OCTETS	4

static void
store_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}

static uint32_t
load_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

/* Everything but data, which need not be cleared 8 KiB at a time. */
static void
message_reset(struct message *m)
{
	m->type = 0;
	m->bad = 0;
	m->len = m->pos = 0;
	m->nfds = m->next_fd = 0;
	m->uid = MESSAGE_NO_UID;
	m->pid = 0;
}

void
message_begin(struct message *m, uint32_t type)
{
	message_reset(m);
	m->type = type;
}

/* Room for n more octets, or NULL and the message is bad. */
static uint8_t *
put_room(struct message *m, size_t n)
{
	uint8_t *p;

	if (m->bad || n > sizeof(m->data) - m->len) {
		m->bad = 1;
		return NULL;
	}
	p = m->data + m->len;
	m->len += n;
	return p;
}

void
put_u32(struct message *m, uint32_t v)
{
	uint8_t *p = put_room(m, 4);

	if (p != NULL)
		store_u32(p, v);
}

void
put_u64(struct message *m, uint64_t v)
{
	put_u32(m, (uint32_t)v);
	put_u32(m, (uint32_t)(v >> 32));
}

void
put_data(struct message *m, const void *src, size_t n)
{
	uint8_t *p;

	if (n > sizeof(m->data)) {
		m->bad = 1;
		return;
	}
	put_u32(m, (uint32_t)n);
	p = put_room(m, n);
	if (p != NULL && n > 0)
		memcpy(p, src, n);
}

void
put_str(struct message *m, const char *s)
{
	put_data(m, s, strlen(s));
}

void
put_fd(struct message *m, int fd)
{
	if (fd < 0 || m->nfds == MESSAGE_FDS_MAX) {
		m->bad = 1;
		return;
	}
	m->fds[m->nfds++] = fd;
}

/* The next n octets, or NULL and the message is bad. */
static const uint8_t *
get_octets(struct message *m, size_t n)
{
	const uint8_t *p;

	if (m->bad || n > m->len - m->pos) {
		m->bad = 1;
		return NULL;
	}
	p = m->data + m->pos;
	m->pos += n;
	return p;
}

uint32_t
get_u32(struct message *m)
{
	const uint8_t *p = get_octets(m, 4);

	return p != NULL ? load_u32(p) : 0;
}

uint64_t
get_u64(struct message *m)
{
	uint64_t low = get_u32(m);

	return low | (uint64_t)get_u32(m) << 32;
}

void
get_data(struct message *m, void *dst, size_t dstsize, size_t *len)
{
	size_t n = get_u32(m);
	const uint8_t *p;

	*len = 0;
	if (n > dstsize) {
		m->bad = 1;
		return;
	}
	p = get_octets(m, n);
	if (p != NULL && n > 0) {
		memcpy(dst, p, n);
		*len = n;
	}
}

void
get_str(struct message *m, char *dst, size_t dstsize)
{
	size_t len;

	get_data(m, dst, dstsize - 1, &len);
	if (memchr(dst, '\0', len) != NULL) {
		m->bad = 1;
		len = 0;
	}
	dst[len] = '\0';
}

int
get_fd(struct message *m)
{
	if (m->next_fd == m->nfds) {
		m->bad = 1;
		return -1;
	}
	return m->fds[m->next_fd++];
}

static void
close_untaken(struct message *m)
{
	while (m->next_fd < m->nfds)
		close(m->fds[m->next_fd++]);
}

int
get_end(struct message *m)
{
	int is_whole;

	is_whole = !m->bad && m->pos == m->len && m->next_fd == m->nfds;
	close_untaken(m);
	if (!is_whole) {
		errno = EBADMSG;
		return -1;
	}
	return 0;
}

void
message_discard(struct message *m)
{
	close_untaken(m);
	explicit_bzero(m->data, m->len);
	message_reset(m);
}

int
message_send(int sock, const struct message *m)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_MAX)];
	} control;
	uint8_t type[TYPE_OCTETS];
	struct iovec iov[2];
	struct msghdr hdr;
	struct cmsghdr *cmsg;
	ssize_t n;

	if (m->bad) {
		errno = EMSGSIZE;
		return -1;
	}
	store_u32(type, m->type);
	iov[0].iov_base = type;
	iov[0].iov_len = sizeof(type);
	iov[1].iov_base = (void *)(uintptr_t)m->data;
	iov[1].iov_len = m->len;
	memset(&hdr, 0, sizeof(hdr));
	hdr.msg_iov = iov;
	hdr.msg_iovlen = 2;
	if (m->nfds > 0) {
		size_t size = sizeof(int) * (size_t)m->nfds;

		memset(&control, 0, sizeof(control));
		hdr.msg_control = control.buf;
		hdr.msg_controllen = CMSG_SPACE(size);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(cmsg), m->fds, size);
	}
	do
		n = sendmsg(sock, &hdr, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

/* All of them, to close or keep. */
static void
take_descriptors(struct message *m, const struct cmsghdr *cmsg)
{
	size_t i, n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int fd;

	for (i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
		if (m->nfds == MESSAGE_FDS_MAX) {
			m->bad = 1;
			close(fd);
		} else
			m->fds[m->nfds++] = fd;
	}
}

static void
take_sender(struct message *m, const struct cmsghdr *cmsg)
{
	struct ucred from;

	if (cmsg->cmsg_len != CMSG_LEN(sizeof(from)))
		return;
	memcpy(&from, CMSG_DATA(cmsg), sizeof(from));
	m->uid = from.uid;
	m->pid = from.pid;
}

/* Take over what rode along. */
static void
take_riders(struct message *m, struct msghdr *hdr)
{
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(hdr); cmsg != NULL;
	    cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET)
			continue;
		if (cmsg->cmsg_type == SCM_RIGHTS)
			take_descriptors(m, cmsg);
		else if (cmsg->cmsg_type == SCM_CREDENTIALS)
			take_sender(m, cmsg);
	}
}

int
message_recv(int sock, struct message *m, int maxfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_MAX) +
		    CMSG_SPACE(sizeof(struct ucred))];
	} control;
	uint8_t type[TYPE_OCTETS];
	struct iovec iov[2];
	struct msghdr hdr;
	ssize_t n;

	message_reset(m);
	iov[0].iov_base = type;
	iov[0].iov_len = sizeof(type);
	iov[1].iov_base = m->data;
	iov[1].iov_len = sizeof(m->data);
	memset(&hdr, 0, sizeof(hdr));
	hdr.msg_iov = iov;
	hdr.msg_iovlen = 2;
	hdr.msg_control = control.buf;
	hdr.msg_controllen = sizeof(control.buf);
	do
		n = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	take_riders(m, &hdr);
	/* The end comes from nobody: who shares a socket can't feign it. */
	if (n == 0 && m->nfds == 0 && m->uid == MESSAGE_NO_UID)
		return 0;
	if (n < TYPE_OCTETS || m->bad || m->nfds > maxfds ||
	    (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		close_untaken(m);
		message_reset(m);
		errno = EBADMSG;
		return -1;
	}
	m->type = load_u32(type);
	m->len = (size_t)n - TYPE_OCTETS;
	return 1;
}

int
message_wait(int sock, struct message *m, int maxfds, int timeout_ms)
{
	struct pollfd pfd = { .fd = sock, .events = POLLIN };
	int n;

	do
		n = poll(&pfd, 1, timeout_ms);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	if (n == 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	return message_recv(sock, m, maxfds);
}
