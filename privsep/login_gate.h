/*
 * login_gate: what login can be asked: LOGIN by a worker, IDENTIFY by the
 * queue.
 */
#ifndef PRIVSEP_LOGIN_GATE_H
#define PRIVSEP_LOGIN_GATE_H

#define REQ_LOGIN	0x001	/* str name, str secret, str mechanism, str tls
				 *  (a claim; "" in the clear)
				 *  -> u32 enum login_verdict */
#define REPLY_LOGIN	0x8001

#define REQ_IDENTIFY	0x301	/* the queue's: str account name
				 *  -> u32 enum identify_verdict, str text;
				 *  if IDENTIFIED, the agent that became it
				 *  listens on this channel from now on */
#define REPLY_IDENTIFY	0x8301

enum identify_verdict {
	IDENTIFIED = 0,
	IDENTIFY_DEFERRED = 1,	/* NSS out of order, no agent now */
	IDENTIFY_FAILED = 2	/* unknown, or never receives mail itself */
};

#define LOGIN_NAME_MAX	256	/* octets with the NUL */
#define LOGIN_SECRET_MAX 1024
#define LOGIN_MECHANISM_MAX 32
#define LOGIN_TLS_MAX	80
#define LOGIN_TRIES	3	/* a session */

#endif
