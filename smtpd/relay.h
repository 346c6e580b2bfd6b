/*
 * relay: one connection to one remote host, as the files relay_*.c share it.
 *
 * A process has one.  Whatever is answered, lost or decided stands in
 * relay.reply afterwards: the host's own words, or ours with code 0.
 */
#ifndef SMTPD_RELAY_H
#define SMTPD_RELAY_H

#include "../wire/tls.h"
#include "../wire/wire.h"
#include "relay_extensions.h"
#include "relay_gate.h"
#include "relay_reply.h"

/* What GREET says of the host and of us. */
struct relay_host {
	enum relay_protocol	 protocol;
	enum relay_tls		 tls;
	char			 name[HOSTNAME_MAX];
	char			 helo[HOSTNAME_MAX];
	char			 user[RELAY_USER_MAX];
	char			 secret[RELAY_SECRET_MAX];
};

struct relay_to {
	char		path[PATH_TEXT_MAX];
	uint32_t	notify;
	char		orcpt[RELAY_ORCPT_MAX];
	int		is_settled;	/* REPLY_TO was sent */
};

struct relay {
	int		 gate;
	int64_t		 minute_ms;	/* of RFC 5321 4.5.3.2, as scaled */
	int64_t		 deadline;	/* of greeting or letter, wire_clock() */
	int		 is_over;	/* the connection is, or must be */
	int		 is_used;	/* a letter has gone this way */
	int		 is_open;	/* the host has a transaction open */
	struct relay_host host;
	struct extensions extensions;
	int		 is_verified;
	char		 tls[TLS_TEXT_MAX];	/* "" in the clear */
	struct reply	 reply;
	size_t		 to_count;
	struct relay_to	 to[RELAY_TO_MAX];
	struct wire	 wire;
};

/* relay_dialogue.c */

/* Minutes of RFC 5321 section 4.5.3.2, by relay-timeout / 5. */
#define RELAY_COMMAND_MINUTES	5	/* greeting, EHLO, MAIL, RCPT */
#define RELAY_DATA_MINUTES	2	/* until 354; STARTTLS; the handshake */
#define RELAY_BLOCK_MINUTES	3	/* a buffer of content */
#define RELAY_END_MINUTES	10	/* the reply to the end of a letter */

void	relay_begin(struct relay *, int gate, int64_t timeout_ms);
/* What comes now must be done in so many minutes, whatever its steps take. */
void	relay_limit(struct relay *, int64_t minutes);
/* A command without its line end; it goes out when an answer is waited for. */
void	relay_say(struct relay *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/*
 * Wait for the next reply: 0, or -1 when there was none, in which case the
 * connection is over.  So it is after a 421, too.  ehlo: its lines are
 * extensions.
 */
int	relay_hear(struct relay *, int minutes);
int	relay_hear_ehlo(struct relay *, int minutes);
/*
 * Nothing was asked.  What has come all the same, if it is looked for in what
 * was read already or (is_looking) in what could be, is a 421 or the end; or
 * the host is out of step, and its next reply would be taken for another.  0,
 * or -1: the connection is over.
 */
int	relay_keeps_quiet(struct relay *, int is_looking);
/* Content is about to be written: the clock of a block. */
void	relay_block(struct relay *);
/* It is over, and this is why. */
void	relay_end(struct relay *, const char *status, const char *text);
/* QUIT, if it is not over, without much of a wait; the connection is closed. */
void	relay_close(struct relay *);

/* relay_greeting.c: everything up to the first letter; relay.reply says why. */
enum relay_verdict relay_greet(struct relay *);

/* relay_auth.c: host.user and host.secret; wipes the secret. */
enum relay_verdict relay_authenticate(struct relay *);

/* A letter, and what is seen in it before it is sent. */
struct relay_letter {
	char		id[QUEUE_ID_MAX];
	int		fd;
	uint64_t	offset;
	uint64_t	length;
	uint32_t	flags;			/* MAIL_ bits */
	char		reverse_path[PATH_TEXT_MAX];
	uint32_t	ret;
	char		envid[RELAY_ENVID_MAX];
	/* relay_content.c */
	uint64_t	octets;			/* with CR LF line ends */
	uint64_t	sent;			/* of them; relay_transaction.c */
	int		has_8bit;
	int		has_8bit_header;
};

/* relay_content.c */

/* Look through it; 0, or -1: it can't be read. */
int	relay_content_scan(struct relay_letter *);
/*
 * Put it on the wire with CR LF line ends, the last line ended, and each dot
 * that begins a line doubled if is_stuffed; without a bare CR, a bare LF or a
 * NUL.  0, or -1: the connection is over.
 */
int	relay_content_send(struct relay *, const struct relay_letter *,
	    int is_stuffed);

/* relay_envelope.c */

int	relay_has(const struct relay *, uint32_t extension);
int	relay_is_ascii(const char *);
/* Its sender or its header does, whoever it is for. */
int	relay_needs_utf8(const struct relay_letter *);
/* 0, or -1 with the reason in relay.reply: not this letter to this host. */
int	relay_fits(struct relay *, const struct relay_letter *);
void	relay_say_mail(struct relay *, const struct relay_letter *,
	    int is_utf8);
void	relay_say_rcpt(struct relay *, const struct relay_to *, int is_utf8);

/* relay_transaction.c: to relay.to; every one of them gets its REPLY_TO. */
void	relay_send(struct relay *, struct relay_letter *);

extern const struct gate_table relay_table;	/* for tests: relay_session.c */

/* relay_session.c: serve the gate, to its end.  0, or -1: it was abused. */
int	relay_serve(int gate, int64_t timeout_ms);

#endif
