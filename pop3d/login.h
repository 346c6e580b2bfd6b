/*
 * login: what the session's loop asks of the AUTHORIZATION state.
 */
#ifndef POP3D_LOGIN_H
#define POP3D_LOGIN_H

#include <stddef.h>

struct session;

/* May a secret come over this connection (RFC 8314, 3.1; RFC 5034, 6)? */
int	login_is_allowed(const struct session *);

/* In an AUTH exchange: the client's line, of len octets, which is wiped. */
void	login_response(struct session *, char *line, size_t len);
/* The exchange is over, and why. */
void	login_abandon(struct session *, const char *why);

/* No name and no secret that the client said is left. */
void	login_forget(struct session *);

#endif
