/*
 * puppet: a worker in an attacker's hands, played by its client.
 *
 * Runs in place of a daemon's worker, with all of its confinement.  The client
 * says what to send on the gate and sees what comes back, so a test in Python
 * can ask the privileged side anything that a taken-over worker could.
 *
 *	S TYPE HEX NFDS		send a request, HEX its fields ("-" none), and wait
 *	Q TYPE HEX NFDS		the same, without waiting
 *	L TYPE HEX NFDS		the same to the master, as a log line would be
 *	E			send the worker's own end of the gate through it
 *	Z TYPE LENGTH NFDS	send a request of so many octets, zeros, and wait
 *	B HEX			send these octets, no frame around them, and wait
 *	C MILLISECONDS		collect one more message
 *	G TYPE HEX NFDS		send a request to the signer, and wait
 *	H TYPE HEX NFDS		the same, without waiting
 *	I MILLISECONDS		collect one more message of the signer's
 *	W HEX			write to the descriptor kept from a reply
 *	F N			write N octets to it, all "x"
 *	R N			read its first N octets
 *	X			close it
 *	D			hang up on the master
 *	T NAME			try what must fail: see trials[]
 *
 * Answers: "M TYPE HEX NFDS", "EOF", "TIMEOUT", "ERR n", "OK".
 */
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privsep/message.h"
#include "privsep/worker.h"
#include "wire/wire.h"

#define WAIT_MS	90000
#define WORDLESS_MS	600000	/* a session that only has to be there */
#define RAW_MAX	65536	/* octets of fields that Z sends at most */
#define RAW_FDS	64	/* descriptors */

static struct wire wire;
static struct worker *puppet;
static int kept = -1;

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static size_t
hex_decode(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;

	for (; hex_digit(hex[0]) >= 0 && hex_digit(hex[1]) >= 0 && n < size;
	    hex += 2)
		out[n++] = (uint8_t)(hex_digit(hex[0]) << 4 |
		    hex_digit(hex[1]));
	return n;
}

static void
say(const char *text)
{
	wire_printf(&wire, "%s\r\n", text);
}

static void
collect(int sock, int ms)
{
	static struct message m;
	size_t i;
	int n;

	n = message_wait(sock, &m, MESSAGE_FDS_MAX, ms);
	/* Said once when requests were left unread; then come the answers. */
	if (n == -1 && errno == ECONNRESET)
		n = message_wait(sock, &m, MESSAGE_FDS_MAX, ms);
	if (n == 0 || (n == -1 && errno == ECONNRESET)) {
		say("EOF");
		return;
	}
	if (n == -1) {
		wire_printf(&wire, errno == ETIMEDOUT ? "TIMEOUT\r\n" :
		    "ERR %d\r\n", errno);
		return;
	}
	wire_printf(&wire, "M %u ", m.type);
	for (i = 0; i < m.len; i++)
		wire_printf(&wire, "%02x", m.data[i]);
	wire_printf(&wire, " %d\r\n", m.nfds);
	if (m.nfds > 0) {
		if (kept != -1)
			close(kept);
		kept = get_fd(&m);
	}
	message_discard(&m);
}

/* What was sent, or why not; then what comes back on sock, if not -1. */
static void
conclude(int failed, int sock)
{
	if (failed)
		wire_printf(&wire, "ERR %d\r\n", errno);
	else if (sock != -1)
		collect(sock, WAIT_MS);
	else
		say("OK");
}

/* The number at *s; *s moves behind it. */
static unsigned long
number(const char **s)
{
	unsigned long n = 0;

	for (; **s >= '0' && **s <= '9'; ++*s)
		n = n * 10 + (unsigned long)(**s - '0');
	while (**s == ' ')
		++*s;
	return n;
}

/* A request of our own making: any type, any payload, any descriptors. */
static void
send_request(int sock, const char *args, int wait)
{
	static struct message m;
	unsigned long fds;
	const char *rest;

	message_begin(&m, (uint32_t)number(&args));
	m.len = hex_decode(args, m.data, sizeof(m.data));
	rest = strrchr(args, ' ');
	if (rest == NULL)
		rest = "0";
	else
		rest++;
	for (fds = number(&rest); fds > 0; fds--)
		put_fd(&m, puppet->client);
	conclude(message_send(sock, &m) == -1, wait ? sock : -1);
}

/* The same without the library, which refuses what is too large or too many. */
static void
send_raw(const uint8_t *raw, size_t len, unsigned long fds)
{
	static union {
		struct cmsghdr align;
		uint8_t room[CMSG_SPACE(sizeof(int) * RAW_FDS)];
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)raw,
	    .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	size_t i;

	if (fds > RAW_FDS)
		fds = RAW_FDS;
	if (fds > 0) {
		hdr.msg_control = control.room;
		hdr.msg_controllen = CMSG_SPACE(sizeof(int) * fds);
		c = CMSG_FIRSTHDR(&hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fds);
		for (i = 0; i < fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int),
			    &puppet->client, sizeof(int));
	}
	conclude(sendmsg(puppet->gate, &hdr, MSG_NOSIGNAL) == -1,
	    puppet->gate);
}

static void
send_zeros(const char *args)
{
	static uint8_t raw[4 + RAW_MAX];
	unsigned long type, len, fds;
	int i;

	type = number(&args);
	len = number(&args);
	fds = number(&args);
	for (i = 0; i < 4; i++)
		raw[i] = (uint8_t)(type >> (8 * i));
	send_raw(raw, 4 + (len < RAW_MAX ? len : RAW_MAX), fds);
}

static void
send_octets(const char *hex)
{
	static uint8_t raw[MESSAGE_MAX];

	send_raw(raw, hex_decode(hex, raw, sizeof(raw)), 0);
}

static void
kept_write(const char *hex)
{
	static uint8_t raw[MESSAGE_MAX];
	size_t n = hex_decode(hex, raw, sizeof(raw));

	conclude(write(kept, raw, n) != (ssize_t)n, -1);
}

static void
kept_fill(const char *arg)
{
	static uint8_t raw[4096];
	unsigned long left = number(&arg);
	ssize_t n = 0;

	memset(raw, 'x', sizeof(raw));
	for (; left > 0 && n != -1; left -= (unsigned long)n)
		n = write(kept, raw, left < sizeof(raw) ? left : sizeof(raw));
	conclude(n == -1, -1);
}

static void
kept_read(const char *arg)
{
	static uint8_t raw[4096];
	size_t want = number(&arg);
	ssize_t i, n;

	n = pread(kept, raw, want < sizeof(raw) ? want : sizeof(raw), 0);
	if (n == -1) {
		wire_printf(&wire, "ERR %d\r\n", errno);
		return;
	}
	wire_printf(&wire, "D ");
	for (i = 0; i < n; i++)
		wire_printf(&wire, "%02x", raw[i]);
	say("");
}

static void
try_open(void)
{
	(void)open("/etc/passwd", O_RDONLY);
}

static void
try_socket(void)
{
	(void)socket(AF_INET, SOCK_STREAM, 0);
}

static void
try_fork(void)
{
	(void)syscall(SYS_fork);
}

static void
try_exec(void)
{
	char *argv[] = { (char *)(uintptr_t)"sh", NULL };

	(void)execve("/bin/sh", argv, argv + 1);
}

static void
try_kill(void)
{
	(void)kill(1, 0);
}

static void
try_ptrace(void)
{
	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void
try_mmap_exec(void)
{
	(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void
try_setuid(void)
{
	(void)!setuid(0);
}

static void
try_accept(void)
{
	(void)!accept(puppet->client, NULL, NULL);
}

static void
try_prctl(void)
{
	(void)syscall(SYS_prctl, 4, 1, 0, 0, 0);
}

static void
try_prlimit(void)
{
	(void)syscall(SYS_prlimit64, 0, 7, NULL, NULL);
}

static void
try_lock(void)
{
	(void)syscall(SYS_flock, puppet->client, 2);
}

static void
try_pwrite(void)
{
	(void)!pwrite(puppet->client, "x", 1, 0);
}

static void
try_truncate(void)
{
	(void)syscall(SYS_ftruncate, puppet->client, 0);
}

static void
try_abort(void)
{
	abort();
}

/* Where nothing is; puppet.py knows the address from a sanitizer's report. */
static void
try_segv(void)
{
	volatile int *nowhere = (volatile int *)(uintptr_t)0xdead000;

	*nowhere = 1;
}

/* Each must end this process, and only this process. */
static const struct {
	const char	*name;
	void		(*attempt)(void);
} trials[] = {
	{ "open", try_open }, { "socket", try_socket }, { "fork", try_fork },
	{ "exec", try_exec }, { "kill", try_kill }, { "ptrace", try_ptrace },
	{ "mmap-exec", try_mmap_exec }, { "setuid", try_setuid },
	{ "accept", try_accept }, { "prctl", try_prctl },
	{ "prlimit", try_prlimit }, { "flock", try_lock },
	{ "pwrite", try_pwrite }, { "truncate", try_truncate },
	{ "abort", try_abort }, { "segv", try_segv },
};

static void
attempt(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		if (strcmp(trials[i].name, name) == 0) {
			trials[i].attempt();
			say("SURVIVED");
			return;
		}
	say("ERR 0");
}

/* Whoever has the other end then keeps this one open, too. */
static void
send_gate(void)
{
	struct message m;

	message_begin(&m, 0);
	put_fd(&m, puppet->gate);
	conclude(message_send(puppet->gate, &m) == -1, -1);
}

static void
obey(char verb, const char *args)
{
	switch (verb) {
	case 'S':
	case 'Q':
		send_request(puppet->gate, args, verb == 'S');
		break;
	case 'L':
		send_request(puppet->master, args, 0);
		break;
	case 'E':
		send_gate();
		break;
	case 'Z':
		send_zeros(args);
		break;
	case 'B':
		send_octets(args);
		break;
	case 'C':
		collect(puppet->gate, (int)number(&args));
		break;
	case 'G':
	case 'H':
		send_request(puppet->signer, args, verb == 'G');
		break;
	case 'I':
		collect(puppet->signer, (int)number(&args));
		break;
	case 'W':
		kept_write(args);
		break;
	case 'F':
		kept_fill(args);
		break;
	case 'R':
		kept_read(args);
		break;
	case 'X':
		conclude(close(kept) == -1, -1);
		kept = -1;
		break;
	case 'D':
		conclude(close(puppet->master) == -1, -1);
		break;
	case 'T':
		attempt(args);
		break;
	default:
		say("ERR 0");
	}
}

static void
play(struct worker *w)
{
	size_t len;
	char *line;

	puppet = w;
	wire_init(&wire, w->client, WORDLESS_MS);
	say("READY");
	while (wire_line(&wire, WIRE_IN_SIZE - 1, 1, &line, &len) == WIRE_OK)
		if (len > 0)
			obey(line[0], len > 2 ? line + 2 : "");
	(void)wire_flush(&wire);
}

const struct worker_program worker_program = {
	.name = "puppet",
	.serve = play,
};
