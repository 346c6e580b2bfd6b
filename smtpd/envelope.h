/*
 * envelope: who sent a letter and whom it is for, as octets in a spool file.
 *
 * Tagged records, so that a later version can add what an earlier one skips:
 * u32 tag, u32 length, then the value; integers are little-endian, text ends
 * with a NUL that counts.
 */
#ifndef SMTPD_ENVELOPE_H
#define SMTPD_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#define RECIPIENTS_MAX	1000		/* of one letter */
#define ENVELOPE_MAX	(1024 * 1024)	/* octets */
#define HELO_MAX	256		/* with its NUL */
#define ENVELOPE_LOGIN_MAX 256		/* with its NUL */

enum envelope_tag {
	ENVELOPE_SENDER = 1,	/* text: reverse-path, "" is null; once */
	ENVELOPE_RECIPIENT,	/* three texts: local-part, domain ("" none),
				 * account that policy found ("" none) */
	ENVELOPE_HELO,		/* text: what the client called itself */
	ENVELOPE_CLIENT,	/* text: its address */
	ENVELOPE_FLAGS,		/* u32: MAIL_ bits of gates.h */
	ENVELOPE_LOGIN,		/* text: the account that submitted it; not
				 * there: nobody logged in */
	ENVELOPE_DSN,		/* u32: RET_ of gates.h, 0 not given; text:
				 * ENVID in xtext, "" none; once.  Not there:
				 * neither */
	ENVELOPE_NOTIFY,	/* u32: NOTIFY_ bits, 0 not given; text: ORCPT,
				 * "" none; of the recipient before it, once.
				 * Not there: neither */
	ENVELOPE_DERIVED,	/* u32: envelope_derived; not there: 0 */
	ENVELOPE_OWNER,		/* u32: the uid of who submitted it, and may see
				 * to it (control_gate.h); not there: nobody */
	ENVELOPE_PROGRAM	/* u32: 1 if others have the letter, too, else
				 * 2; text: digest of a command or a file
				 * (program.h) in ~/.forward of the account of
				 * the recipient before it, once */
};
#define ENVELOPE_NOBODY	UINT32_MAX	/* an owner that there is not */

/* What a letter is that the queue has written (derived.h). */
enum envelope_derived {
	DERIVED_NOT,
	DERIVED_NOTICE,		/* tells the sender what became of his letter */
	DERIVED_DOUBLE,		/* tells postmaster, because there is none */
	DERIVED_LIST,		/* goes to a list's members: accounts that are
				 * known by name are no aliases any more */
	DERIVED_FORWARD		/* goes where a ~/.forward says */
};

/* Being made.  Zero-initialize; envelope_reset() before each use. */
struct envelope_writer {
	uint8_t		*data;
	size_t		 len, size;
	int		 error;			/* sticky errno */
	size_t		 recipient_count;
	uint32_t	 where[RECIPIENTS_MAX];	/* their values in data */
};

void	envelope_reset(struct envelope_writer *);
void	envelope_put_text(struct envelope_writer *, enum envelope_tag,
	    const char *);
void	envelope_put_u32(struct envelope_writer *, enum envelope_tag,
	    uint32_t);
/* One more; at most RECIPIENTS_MAX (E2BIG). */
void	envelope_put_recipient(struct envelope_writer *, const char *local,
	    const char *domain, const char *account);
/* What was asked for with the recipient put last; nothing if that is nothing. */
void	envelope_put_notify(struct envelope_writer *, uint32_t notify,
	    const char *orcpt);
/* It is not the mailbox of the account of the recipient put last. */
void	envelope_put_program(struct envelope_writer *, const char *digest,
	    int is_spare);
void	envelope_put_dsn(struct envelope_writer *, uint32_t ret,
	    const char *envid);
/* The same local part, and the same domain in any case? */
int	envelope_has_recipient(const struct envelope_writer *,
	    const char *local, const char *domain);
/*
 * Can this name be an ENVELOPE_LOGIN?  NSS has names of every kind, so all
 * that is asked is some text without control octets.
 */
int	envelope_is_login(const char *);
void	envelope_free_writer(struct envelope_writer *);

/* As read back; the strings lie in data. */
struct recipient {
	const char	*local;		/* unquoted; UTF-8 as the sender */
	const char	*domain;	/* "": none */
	const char	*account;	/* "": not known by name */
	uint32_t	 notify;	/* NOTIFY_ bits; 0: not given */
	const char	*orcpt;		/* "rfc822;xtext", or "" */
	const char	*program;	/* a digest, or "" */
	uint32_t	 is_spare;	/* 1: others have the letter, too */
};

struct envelope {
	char			*data;
	const char		*sender;	/* a legal path or ""; it may
						 * hold UTF-8 if flags has
						 * MAIL_SMTPUTF8 */
	const char		*helo;		/* or "" */
	const char		*client;	/* or "" */
	const char		*login;		/* or "" */
	const char		*envid;		/* in xtext, or "" */
	uint32_t		 ret;		/* RET_FULL, RET_HDRS; 0: not
						 * given */
	uint32_t		 flags;
	uint32_t		 derived;	/* of enum envelope_derived */
	uint32_t		 owner;		/* uid, or ENVELOPE_NOBODY */
	struct recipient	*recipients;
	size_t			 recipient_count;
};

/*
 * Takes over data (from malloc).  Strict and bounded; -1 with errno EBADMSG
 * for what no envelope_writer makes, or ENOMEM.
 */
int	envelope_decode(struct envelope *, char *data, size_t len);
void	envelope_free(struct envelope *);

#endif
