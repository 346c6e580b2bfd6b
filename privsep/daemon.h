/*
 * daemon: what pop3d and smtpd tell the fabric of themselves.
 */
#ifndef PRIVSEP_DAEMON_H
#define PRIVSEP_DAEMON_H

#include "config.h"
#include "facts.h"

struct daemon {
	const char	*name;		/* "pop3d" */
	const char	*spawner;	/* executables below libexec-dir */
	const char	*agents;
	const char	*programs;	/* NULL: it never runs any */
	const char	*queue;		/* NULL: none */
	const char	*relay;		/* NULL: none; these need the queue */
	const char	*resolver;
	/*
	 * Files in run-dir: where programs of this host submit mail and where
	 * they talk to the queue; NULL: none.
	 */
	const char	*local_socket;
	const char	*control_socket;
	uint32_t	 services;	/* 1 << enum service: which it serves */
	uint32_t	 named;		/* the same: where strangers come,
					 * whose names are looked up */
	/*
	 * Does the worker's first request go to login, or straight to agents
	 * (a service where nobody logs in)?
	 */
	int		(*needs_login)(enum service);
	/* Once, as root, before anything starts: 0, or -1 and reported. */
	int		(*prepare)(const struct config *);
	/* What a client over a limit is told, CR LF included. */
	const char	*refusal;
};

/*
 * Tell a client, if it takes it at once, that it is not for now: the refusal,
 * or where TLS begins with the connection an alert.
 */
void	daemon_refuse(const struct daemon *, int client, enum service);
/* For prepare(): say what went wrong, where the administrator will see it. */
void	daemon_complain(const char *, ...)
	    __attribute__((format(printf, 1, 2)));

/* All of main(): options, configuration, master. */
int	daemon_main(const struct daemon *, int argc, char **argv);

#endif
