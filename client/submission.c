/*
 * submission: hands a message to the server.
 *
 * Runs in sendmail, as whoever called it; connects to one Unix socket, behind
 * which the kernel tells the server who that is.
 */
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "fail.h"
#include "submission.h"

#define PATIENCE	600	/* seconds for a reply (RFC 5321, 4.5.3.2) */
#define BUSY_TRIES	5	/* ... of 1, 2, 4, 8 seconds between them */
#define LINE_ROOM	2048	/* octets of a line of a reply */
#define RELAY_ROOM	16384

static volatile sig_atomic_t is_late;

static void
note_late(int signal_number)
{
	(void)signal_number;
	is_late = 1;
}

/*
 * A signal and not the socket's own time limit: with one of those Linux ends
 * the call when the program was stopped (^Z) and goes on (signal(7)), and who
 * is told that it failed sends again what the server has taken.
 */
static void
init_clock(void)
{
	struct sigaction action = { .sa_handler = note_late };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	if (sigaction(SIGALRM, &action, NULL) == -1 ||
	    sigprocmask(SIG_UNBLOCK, &set, NULL) == -1)
		fail(EX_OSERR, "SIGALRM: %s", strerror(errno));
}

/* Again each second: it may come just before a call that would wait. */
static void
set_clock(void)
{
	const struct itimerval patience = {
		.it_value = { .tv_sec = PATIENCE },
		.it_interval = { .tv_sec = 1 }
	};

	(void)setitimer(ITIMER_REAL, &patience, NULL);
}

_Noreturn static void
lost(const struct submission *s)
{
	if (is_late)
		errno = ETIMEDOUT;
	fail(EX_TEMPFAIL, "the mail server went away: %s; %s",
	    errno != 0 ? strerror(errno) : "end of file", s->is_ended ?
	    "it may have taken the message" : "nothing was sent, try again");
}

int
submission_connect(const char *run_dir)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, n;

	n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/smtpd.sock",
	    run_dir);
	if (n < 0 || (size_t)n >= sizeof(un.sun_path))
		fail(EX_CONFIG, "run-dir %s is too long", run_dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || connect(fd, (struct sockaddr *)&un, sizeof(un)) == -1)
		fail(EX_TEMPFAIL, "no mail server at %s: %s; nothing was sent,"
		    " try again", un.sun_path,
		    strerror(is_late ? ETIMEDOUT : errno));
	return fd;
}

/* 250-text or 250 text: is it the last line? */
static int
take_line(struct submission *s, const char *line)
{
	size_t i;

	s->code = 0;
	for (i = 0; i < 3; i++) {
		if (line[i] < '0' || line[i] > '9')
			fail(EX_PROTOCOL, "the mail server said: %s", line);
		s->code = s->code * 10 + (line[i] - '0');
	}
	if (line[3] != '\0') {
		if (s->text[0] != '\0')
			strlcat(s->text, " ", sizeof(s->text));
		strlcat(s->text, line + 4, sizeof(s->text));
	}
	return line[3] != '-';
}

static void
read_reply(struct submission *s)
{
	char line[LINE_ROOM];

	s->text[0] = '\0';
	do {
		errno = 0;
		if (fgets(line, sizeof(line), s->in) == NULL)
			lost(s);
		line[strcspn(line, "\r\n")] = '\0';
	} while (!take_line(s, line));
}

void
submission_fail(const struct submission *s, const char *what)
{
	int code = EX_UNAVAILABLE;

	if (s->code < 500)
		code = EX_TEMPFAIL;
	else if (strncmp(s->text, "5.1.1 ", 6) == 0)
		code = EX_NOUSER;
	fail(code, "%s%s%d %s; nothing was sent%s", what != NULL ? what : "",
	    what != NULL ? ": " : "", s->code, s->text,
	    code == EX_TEMPFAIL ? ", try again" : "");
}

/* A server that has too many clients just now has not in a moment. */
static void
greet(struct submission *s, const char *run_dir)
{
	unsigned int tries;

	for (tries = 0;; tries++) {
		set_clock();
		s->fd = submission_connect(run_dir);
		s->in = fdopen(s->fd, "r");
		s->out = fdopen(dup(s->fd), "w");
		if (s->in == NULL || s->out == NULL)
			fail(EX_OSERR, "%s", strerror(errno));
		read_reply(s);
		if (s->code != 421 || tries + 1 == BUSY_TRIES)
			return;
		fclose(s->in);
		fclose(s->out);
		sleep(1U << tries);
	}
}

void
submission_open(struct submission *s, const char *run_dir)
{
	size_t len;

	memset(s, 0, sizeof(*s));
	init_clock();
	greet(s, run_dir);
	if (s->code != 220)
		submission_fail(s, NULL);
	len = strcspn(s->text, " ");
	if (len == 0 || len >= sizeof(s->host))
		fail(EX_PROTOCOL, "the mail server said: %s", s->text);
	memcpy(s->host, s->text, len);
	submission_say(s, 250, NULL, "EHLO localhost");
}

void
submission_say(struct submission *s, int wanted, const char *what,
    const char *format, ...)
{
	va_list args;

	set_clock();
	va_start(args, format);
	vfprintf(s->out, format, args);
	va_end(args);
	fputs("\r\n", s->out);
	/* If it can't be written, the server may have said why. */
	fflush(s->out);
	read_reply(s);
	if (s->code != wanted)
		submission_fail(s, what);
}

/*
 * The content can't be written.  A server that has had enough answers at once
 * and closes: that answer still waits here, where the socket is at its end.
 */
_Noreturn static void
cut_off(struct submission *s)
{
	struct pollfd answer = { .fd = s->fd, .events = POLLIN };
	const int error = errno;

	if (poll(&answer, 1, 0) == 1) {
		read_reply(s);
		if (s->code >= 400)
			submission_fail(s, NULL);
	}
	errno = error;
	lost(s);
}

void
submission_put(struct submission *s, const char *text, size_t len)
{
	const char *end;
	size_t n;

	set_clock();
	for (; len > 0; text += n, len -= n) {
		end = memchr(text, '\n', len);
		n = end == NULL ? len : (size_t)(end - text) + 1;
		if (!s->is_inside && text[0] == '.')
			putc('.', s->out);
		fwrite(text, 1, end == NULL ? n : n - 1, s->out);
		if (end != NULL)
			fputs("\r\n", s->out);
		s->is_inside = end == NULL;
	}
	if (ferror(s->out))
		cut_off(s);
}

void
submission_end(struct submission *s)
{
	if (fflush(s->out) == EOF)
		cut_off(s);
	s->is_ended = 1;
	submission_say(s, 250, NULL, ".");
	submission_close(s);
}

void
submission_close(struct submission *s)
{
	fputs("QUIT\r\n", s->out);
	fclose(s->out);
	fclose(s->in);
}

static int
pass(int from, int to)
{
	char buffer[RELAY_ROOM];
	ssize_t n, done, r;

	n = read(from, buffer, sizeof(buffer));
	if (n <= 0)
		return 0;
	for (done = 0; done < n; done += r) {
		r = write(to, buffer + done, (size_t)(n - done));
		if (r <= 0)
			return 0;
	}
	return 1;
}

void
submission_relay(int fd)
{
	struct pollfd fds[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = fd, .events = POLLIN }
	};

	for (;;) {
		if (poll(fds, 2, -1) == -1)
			fail(EX_OSERR, "poll: %s", strerror(errno));
		if (fds[1].revents != 0 && !pass(fd, STDOUT_FILENO))
			return;
		if (fds[0].revents != 0 && !pass(STDIN_FILENO, fd)) {
			shutdown(fd, SHUT_WR);
			fds[0].fd = -1;
		}
	}
}
