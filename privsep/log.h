/*
 * log: one line an event, "session=ID event=login user=alice client=...".
 *
 * The master writes to syslog (LOG_MAIL) or, with -d, to stderr.  Every other
 * process sends its lines to the master over a socket; the master stamps a
 * worker's lines with the session that it serves, whatever the worker says.
 * Control octets, DEL, and octets over 126 are written as \xNN by the master.
 */
#ifndef PRIVSEP_LOG_H
#define PRIVSEP_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

#define LOG_LINE_MAX	1024	/* octets of one line, NUL included */
#define LOG_VALUE_MAX	256

/* The master: where its lines go, cleaned; until told otherwise to stderr. */
void	log_init_master(void (*sink)(int level, const char *line));
/* Any other process: over this socket (the master's end is drained). */
void	log_init_socket(int sock);
/* A worker: the same, but the master says which session it is. */
void	log_init_worker(int sock);

/*
 * One event.  level is a syslog one (LOG_INFO, ...); session 0 is none.  The
 * format begins with the event: "event=login user=%s".  Values from outside
 * go through log_value().
 */
void	log_event(int level, uint64_t session, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
void	log_vevent(int level, uint64_t session, const char *fmt, va_list)
	    __attribute__((format(printf, 3, 0)));

/*
 * A value that may hold anything, made safe for one key=value: printable
 * without spaces, quotes and backslashes stays as it is, else it is quoted
 * and escaped; cut at LOG_VALUE_MAX.  Returns buf.
 */
const char *log_value(const char *value, char buf[LOG_VALUE_MAX]);

/* The environment failed us: log with strerror(errno), exit 1. */
void	fatal(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2), noreturn));
/* We are wrong: log, abort. */
void	bug(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2), noreturn));
/* The peer broke the rules of the channel: log, end this session's process. */
void	peer_fatal(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2), noreturn));

#endif
