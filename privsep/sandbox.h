/*
 * sandbox: what a process may still ask of the kernel.
 *
 * Landlock takes away the file system (and binding, connecting and signals
 * where the kernel knows how), seccomp the system calls.  Fail closed: every
 * function is fatal() unless what it claims was seen to hold.  Another system
 * gets its own sandbox-OS.c.
 */
#ifndef PRIVSEP_SANDBOX_H
#define PRIVSEP_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

struct sock_filter;

/* The system-call tables, by the room that they furnish. */
enum sandbox_table {
	SANDBOX_MASTER,		/* everything but what no mail server does */
	SANDBOX_LOGIN,		/* the same: PAM modules live there */
	SANDBOX_AGENTS,		/* the same, without exec and the network */
	SANDBOX_SPAWNER,	/* allow-list: worker's, fork, wait */
	SANDBOX_WORKER,		/* allow-list: read, write, poll, close... */
	SANDBOX_SIGNER,		/* allow-list: read, write, wait */
	SANDBOX_MAILBOX,	/* allow-list: files below a descriptor */
	SANDBOX_SPOOL,		/* as agents, for NSS modules */
	SANDBOX_COMPANION,	/* allow-list: make and remove files */
	SANDBOX_QUEUE,		/* allow-list: files, poll, connecting */
	SANDBOX_RELAY_SPAWNER,	/* as the spawner */
	SANDBOX_RELAY,		/* as a worker */
	SANDBOX_RESOLVER,	/* allow-list: talking to name servers */
	SANDBOX_PROGRAMS	/* as login: users' programs live there */
};

struct sandbox_filter {
	struct sock_filter	*code;
	uint16_t		 len;		/* instructions */
	uint16_t		 mark;		/* what the probe must answer */
};

/* Compile a table; needs memory and memfd_create, so do it early. */
void	sandbox_compile(enum sandbox_table, struct sandbox_filter *);
/* Install it in this process, with proof; NO_NEW_PRIVS must be set. */
void	sandbox_install(const struct sandbox_filter *);

/* What Landlock leaves below a directory. */
#define ROOM_READ	0x01	/* read files, list directories */
#define ROOM_CHANGE	0x02	/* and write, create, link, rename, remove */
#define ROOM_MAKE	0x04	/* create, write, remove; read nothing */

struct sandbox_place {
	int		fd;	/* directory, O_PATH is enough; or one file */
	unsigned	use;	/* ROOM_ bits */
};

/* Deny the file system except these places; none: all of it, with proof. */
void	sandbox_landlock(const struct sandbox_place *, size_t count);
/* The same for who connects to others: it may, from any port of our own. */
void	sandbox_landlock_client(const struct sandbox_place *, size_t count);

#endif
