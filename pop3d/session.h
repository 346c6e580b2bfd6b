/*
 * session: one POP3 client's session in the worker: its state, its loop, and
 * the handlers that the table of commands names.
 */
#ifndef POP3D_SESSION_H
#define POP3D_SESSION_H

#include <stdint.h>

#include "../privsep/worker.h"
#include "../wire/sasl.h"
#include "../wire/tls.h"
#include "../wire/wire.h"
#include "commands.h"
#include "maildrop.h"

#define POP3_BAD_MAX	20	/* bad commands in a row that end a session */

struct session {
	struct worker	*worker;
	enum pop3_state	 state;
	int		 is_over;
	const char	*ended;		/* how, as logged */
	int		 bad;		/* bad commands in a row */
	int		 has_tls;
	int		 is_utf8;	/* names and secrets must be */
	int		 in_exchange;	/* AUTH: the next line is a response */
	int		 has_user;
	char		 user[ACCOUNT_NAME_MAX];
	struct sasl	 sasl;		/* in an exchange */
	struct maildrop	 drop;		/* in TRANSACTION */
	uint32_t	 retrieved;	/* messages sent whole */
	uint32_t	 removed;	/* messages, after QUIT */
	uint64_t	 octets;	/* of message content sent */
	struct wire	 wire;
};

/* A new session; TLS, where its service begins with it, comes in its run. */
void	session_begin(struct session *, struct worker *);
/* From the greeting to the end; the descriptors stay the worker's. */
void	session_run(struct session *);

/* No further command is read; what is pending is still sent. */
void	session_end(struct session *, const char *how);

/* The same, since the wire says that nothing more can be heard. */
void	session_unheard(struct session *, enum wire_status);

/* Would STLS be answered with a handshake? */
int	session_can_start_tls(const struct session *);

/*
 * The other side of the gate failed us (errno): nothing can be done for this
 * client.
 */
void	session_gate_failed(struct session *, const char *what);

/* The handlers: each replies and leaves the session in its next state. */
void	command_auth(struct session *, const struct arguments *);
void	command_capa(struct session *, const struct arguments *);
void	command_dele(struct session *, const struct arguments *);
void	command_lang(struct session *, const struct arguments *);
void	command_list(struct session *, const struct arguments *);
void	command_noop(struct session *, const struct arguments *);
void	command_pass(struct session *, const struct arguments *);
void	command_quit(struct session *, const struct arguments *);
void	command_retr(struct session *, const struct arguments *);
void	command_rset(struct session *, const struct arguments *);
void	command_stat(struct session *, const struct arguments *);
void	command_stls(struct session *, const struct arguments *);
void	command_top(struct session *, const struct arguments *);
void	command_uidl(struct session *, const struct arguments *);
void	command_user(struct session *, const struct arguments *);
void	command_utf8(struct session *, const struct arguments *);

#endif
