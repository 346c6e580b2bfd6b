/*
 * puppet: a worker in an attacker's hands, played by its client.
 *
 * Runs in place of a daemon's worker, with all of its confinement.  The client
 * says what to send on the gate and sees what comes back, so a test in Python
 * can ask the privileged side anything that a taken-over worker could.
 *
 *	S TYPE HEX NFDS		send a request with that payload, and wait
 *	B TYPE HEX NFDS		the same, as bytes without the type's frame
 *	C MILLISECONDS		collect one more message
 *	W HEX			write to the descriptor kept from a reply
 *	R N			read N octets of it
 *	X			close it
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

#define WAIT_MS	4000

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
collect(int ms)
{
	static struct message m;
	size_t i;
	int n;

	n = message_wait(puppet->gate, &m, MESSAGE_FDS_MAX, ms);
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

/* A request of our own making: any type, any payload, any descriptors. */
static void
send_request(const char *args, int has_type)
{
	static struct message m;
	static uint8_t raw[MESSAGE_MAX];
	unsigned type = 0;
	char *rest;
	int fds = 0;

	type = (unsigned)strtoul(args, &rest, 10);
	while (*rest == ' ')
		rest++;
	if (!has_type) {
		size_t n = hex_decode(rest, raw, sizeof(raw));

		if (send(puppet->gate, raw, n, MSG_NOSIGNAL) == -1)
			wire_printf(&wire, "ERR %d\r\n", errno);
		else
			collect(WAIT_MS);
		return;
	}
	message_begin(&m, type);
	m.len = hex_decode(rest, m.data, sizeof(m.data));
	rest = strrchr(rest, ' ');
	if (rest != NULL)
		fds = (int)strtol(rest, NULL, 10);
	while (fds-- > 0)
		put_fd(&m, puppet->client);
	if (message_send(puppet->gate, &m) == -1)
		wire_printf(&wire, "ERR %d\r\n", errno);
	else
		collect(WAIT_MS);
}

static void
kept_write(const char *hex)
{
	static uint8_t raw[MESSAGE_MAX];
	size_t n = hex_decode(hex, raw, sizeof(raw));

	if (write(kept, raw, n) != (ssize_t)n)
		wire_printf(&wire, "ERR %d\r\n", errno);
	else
		say("OK");
}

static void
kept_read(const char *arg)
{
	static uint8_t raw[4096];
	size_t want = strtoul(arg, NULL, 10);
	ssize_t i, n;

	n = read(kept, raw, want < sizeof(raw) ? want : sizeof(raw));
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

static void
try_segv(void)
{
	volatile int *nowhere = NULL;

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

static void
play(struct worker *w)
{
	size_t len;
	char *line;

	puppet = w;
	wire_init(&wire, w->client, 60000);
	say("READY");
	while (wire_line(&wire, WIRE_IN_SIZE - 1, 1, &line, &len) == WIRE_OK) {
		if (len < 1)
			continue;
		switch (line[0]) {
		case 'S':
			send_request(line + 1, 1);
			break;
		case 'B':
			send_request(line + 1, 0);
			break;
		case 'C':
			collect((int)strtol(line + 1, NULL, 10));
			break;
		case 'W':
			kept_write(len > 2 ? line + 2 : "");
			break;
		case 'R':
			kept_read(line + 1);
			break;
		case 'X':
			close(kept);
			kept = -1;
			say("OK");
			break;
		case 'T':
			attempt(len > 2 ? line + 2 : "");
			break;
		default:
			say("ERR 0");
		}
	}
	(void)wire_flush(&wire);
}

const struct worker_program worker_program = {
	.name = "puppet",
	.serve = play,
};
