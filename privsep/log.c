/*
 * log: lines to the master over a socket, and from the master to its sink.
 *
 * Runs in every process, as whoever that is; touches one socket, in the
 * master stderr.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "log.h"
#include "message.h"

static int log_sock = -1;
static void (*log_sink)(int, const char *);	/* NULL: stderr */
static int log_is_stamped;	/* the master adds the session */

void
log_init_master(void (*sink)(int, const char *))
{
	log_sock = -1;
	log_sink = sink;
}

void
log_init_socket(int sock)
{
	log_sock = sock;
}

void
log_init_worker(int sock)
{
	log_sock = sock;
	log_is_stamped = 1;
}

/*
 * To the master, waiting a moment if its queue is full: a line is worth a
 * short wait, but no process hangs for its log.
 */
static void
log_send(int level, const char *line)
{
	struct pollfd pfd = { .fd = log_sock, .events = POLLOUT };
	struct message m;
	int saved = errno;

	message_begin(&m, CH_LOG);
	put_u32(&m, (uint32_t)level);
	put_str(&m, line);
	if (message_send(log_sock, &m) == -1 && errno == EAGAIN &&
	    poll(&pfd, 1, 200) == 1)
		(void)message_send(log_sock, &m);
	errno = saved;
}

/* What could end a line or drive a terminal becomes \xNN. */
static void
log_clean(const char *line, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p;
	size_t n = 0;

	for (p = (const unsigned char *)line; *p != '\0' && n + 5 < size; p++) {
		if (*p >= 0x20 && *p < 0x7f) {
			out[n++] = (char)*p;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[*p >> 4];
		out[n++] = hex[*p & 15];
	}
	out[n] = '\0';
}

static void
log_write(int level, const char *line)
{
	char clean[LOG_LINE_MAX], stamp[32];
	struct timespec ts;
	struct tm tm;

	log_clean(line, clean, sizeof(clean));
	if (log_sink != NULL) {
		log_sink(level, clean);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	if (localtime_r(&ts.tv_sec, &tm) == NULL ||
	    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		stamp[0] = '\0';
	dprintf(STDERR_FILENO, "%s.%03ld %s\n", stamp, ts.tv_nsec / 1000000,
	    clean);
}

void
log_vevent(int level, uint64_t session, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	size_t n = 0;

	if (session != 0 && !log_is_stamped)
		n = (size_t)snprintf(line, sizeof(line), "session=%" PRIx64 " ",
		    session);
	vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	if (log_sock != -1)
		log_send(level, line);
	else
		log_write(level, line);
}

void
log_event(int level, uint64_t session, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vevent(level, session, fmt, ap);
	va_end(ap);
}

static int
is_plain(const char *value)
{
	const unsigned char *p = (const unsigned char *)value;

	for (; *p != '\0'; p++)
		if (*p <= 0x20 || *p >= 0x7f || *p == '"' || *p == '\\' ||
		    *p == '=')
			return 0;
	return p != (const unsigned char *)value;
}

const char *
log_value(const char *value, char buf[LOG_VALUE_MAX])
{
	const unsigned char *p = (const unsigned char *)value;
	size_t n = 0;

	if (is_plain(value)) {
		strlcpy(buf, value, LOG_VALUE_MAX);
		return buf;
	}
	buf[n++] = '"';
	for (; *p != '\0' && n + 6 < LOG_VALUE_MAX; p++) {
		if (*p == '"' || *p == '\\') {
			buf[n++] = '\\';
			buf[n++] = (char)*p;
		} else if (*p < 0x20 || *p >= 0x7f)
			n += (size_t)snprintf(buf + n, LOG_VALUE_MAX - n,
			    "\\x%02x", *p);
		else
			buf[n++] = (char)*p;
	}
	buf[n++] = '"';
	buf[n] = '\0';
	return buf;
}

void
fatal(const char *fmt, ...)
{
	char text[LOG_LINE_MAX / 2];
	const char *why = strerror(errno);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_event(LOG_CRIT, 0, "event=fatal pid=%d text=\"%s: %s\"",
	    (int)getpid(), text, why);
	_exit(1);
}

void
bug(const char *fmt, ...)
{
	char text[LOG_LINE_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_event(LOG_CRIT, 0, "event=bug pid=%d text=\"%s\"", (int)getpid(),
	    text);
	abort();
}

void
peer_fatal(const char *fmt, ...)
{
	char text[LOG_LINE_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_event(LOG_ERR, 0, "event=peer-fault pid=%d text=\"%s\"",
	    (int)getpid(), text);
	_exit(1);
}
