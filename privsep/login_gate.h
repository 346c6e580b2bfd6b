/*
 * login_gate: what login can be asked: LOGIN by a worker, IDENTIFY and MEMBERS
 * by the queue.
 */
#ifndef PRIVSEP_LOGIN_GATE_H
#define PRIVSEP_LOGIN_GATE_H

#define REQ_LOGIN	0x001	/* str name, str secret, str mechanism, str tls
				 *  (a claim; "" in the clear)
				 *  -> u32 enum login_verdict */
#define REPLY_LOGIN	0x8001

#define REQ_IDENTIFY	0x301	/* the queue's: str account name
				 *  -> u32 enum identify_verdict, str text;
				 *  if IDENTIFIED, text is the account's own
				 *  name, and the agent that became it listens
				 *  on this channel from now on */
#define REPLY_IDENTIFY	0x8301

enum identify_verdict {
	IDENTIFIED = 0,
	IDENTIFY_DEFERRED = 1,	/* NSS out of order, no agent now */
	IDENTIFY_FAILED = 2	/* unknown, or never receives mail itself */
};

#define REQ_MEMBERS	0x321	/* the queue's: str group name -> one or more
				 *  of u32 enum members_verdict, u32 whether
				 *  there is another, data: names of accounts,
				 *  each with its NUL */
#define REPLY_MEMBERS	0x8321

enum members_verdict {
	MEMBERS_FOUND = 0,
	MEMBERS_DEFERRED = 1,	/* NSS out of order: nothing is known */
	MEMBERS_UNKNOWN = 2,	/* there is no such group */
	MEMBERS_TOO_MANY = 3	/* more than MEMBERS_MAX */
};
#define MEMBERS_VERDICTS 4
#define MEMBERS_MAX	10000
#define MEMBERS_PAGE	8000	/* octets of names in one reply */

#define LOGIN_NAME_MAX	256	/* octets with the NUL */
#define LOGIN_SECRET_MAX 1024
#define LOGIN_MECHANISM_MAX 32
#define LOGIN_TLS_MAX	80
#define LOGIN_TRIES	3	/* a session */

#endif
