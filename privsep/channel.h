/*
 * channel: the messages between master and roles, one enumeration, so that
 * the whole fabric's talk is on one page.  Descriptors of a role, fixed before
 * its exec; a role refuses to run without them.
 */
#ifndef PRIVSEP_CHANNEL_H
#define PRIVSEP_CHANNEL_H

enum role_descriptor {
	FD_MASTER = 3,	/* SEQPACKET to the master */
	FD_LOG = 4,	/* SEQPACKET, log lines to the master */
	FD_CONFIG = 5,	/* sealed memfd */
	FD_LINK = 6,	/* login: to agents; agents, programs: from login */
	FD_HINT = 7,	/* smtpd: agents write, the queue reads: datagrams */
	FD_KEYRING = 8,	/* spawner: certificates; signer: and keys; a memfd */
	FD_PROGRAMS = 9,	/* login: to programs, whose FD_LINK it is */
	FD_ROLES	/* the first that no role has */
};

#define SPAWN_MAX	4096

enum channel_message {
	/* master to spawner */
	CH_SPAWN = 1,		/* u64 serial of the first, u32 n: so many more
				 * workers; SPAWN_MAX may be on their way */
	CH_END,			/* u64 serial: end this worker */
	/* spawner to master */
	CH_WAITING,		/* u64 serial, fd: a new waiting worker */
	CH_ENDED,		/* u64 serial, u32 wait status */
	/* master to worker, once */
	CH_SESSION,		/* facts, fd client, fd gate, and where TLS can
				 * be had fd signer */
	/* worker to master */
	CH_LOG,			/* u32 level, str line */
	CH_ALIVE,		/* () the client was heard of */
	/* master to login, agents, signer, relay or resolver */
	CH_SERVE,		/* facts, fd session; to agents, where the
				 * client's name is looked up, fd of it */
	/* login to agents or programs, after success only */
	CH_BECOME,		/* facts, identity, fd session */
	/* login, agents, signer and relay to master */
	CH_NOTE,		/* u64 session, u32 note */
	/* login, agents, signer, relay and resolver to master, once */
	CH_READY,		/* () confined, and able to do its work */
	/* master to queue, first of all */
	CH_RUN,			/* u32 once: end when nothing is due */
	/* queue to master and back */
	CH_NEED_DELIVERY,	/* u64 tag */
	CH_DELIVERY,		/* u64 tag, fd: to be asked IDENTIFY; without
				 * a descriptor: not now, ask later */
	CH_NEED_RELAY,		/* u64 tag */
	CH_RELAY,		/* the same; fd: smtpd/relay_gate.h */
	CH_NEED_RESOLVER,	/* u64 tag */
	CH_RESOLVER,		/* the same; fd: smtpd/dns.h */
	/* master to queue, unasked */
	CH_CONTROL,		/* facts (uid: who it is), fd: a control client,
				 * SEQPACKET, non-blocking */
	/* queue to master and back, as CH_NEED_DELIVERY and CH_DELIVERY */
	CH_NEED_PROGRAM,	/* u64 tag */
	CH_PROGRAM,		/* u64 tag, fd */
	/* master to worker, and then the end of file */
	CH_LATE			/* () the session's time is over */
};

/* What login and agents tell of a session, without a word of text. */
enum note {
	NOTE_LOGGED_IN = 1,
	NOTE_LOGIN_FAILED,
	NOTE_CRASHED,		/* a process not yet a user died of a signal */
	NOTE_USER_CRASHED,	/* an agent that was a user did */
	NOTE_GATE_FAULT		/* the worker asked what the table forbids */
};

#endif
