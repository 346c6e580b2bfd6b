/*
 * deliver_request: what DELIVER and RUN (gates.h) have in common: which letter
 * it is, whom it came to, and where its content lies.
 */
#ifndef SMTPD_DELIVER_REQUEST_H
#define SMTPD_DELIVER_REQUEST_H

#include "mailbox/mailbox.h"
#include "privsep/message.h"
#include "smtpd/gates.h"

#define DELIVER_HEAD_MAX 1024

/* Octets of the fields of DELIVER: at least, at most. */
#define DELIVER_SIZE_MIN (5 + 8 + 4 + 5 + 3 * 8 + 4)
#define DELIVER_SIZE_MAX (3 + QUEUE_ID_MAX + 8 + 2 * (3 + PATH_TEXT_MAX) + \
	3 * 8 + 4)

struct deliver_request {
	char	 id[QUEUE_ID_MAX];
	uint64_t arrived;
	char	 reverse_path[PATH_TEXT_MAX];
	char	 forward_path[PATH_TEXT_MAX];
	uint64_t offset;
	uint64_t length;
	uint64_t lines;
	uint32_t flags;			/* DELIVER_ of gates.h */
	int	 content;
};

struct deliver_verdict {
	enum delivery_verdict	 verdict;
	const char		*status;	/* RFC 3463 */
	char			 text[VERDICT_TEXT_MAX];
};

/* The fields up to the flags. */
void	deliver_request_get(struct message *, struct deliver_request *);
/*
 * Then, of what was taken whole: could all of it be?  The descriptor must be a
 * file with the content in it, and what becomes part of a name or of a header
 * line fit to be.
 */
int	deliver_request_is_legal(const struct deliver_request *);
/* As a mailbox wants it, behind these lines of a header. */
void	deliver_request_letter(const struct deliver_request *,
	    const char *head, struct mailbox_letter *);
/* 0 or -1. */
int	deliver_reply(int sock, const struct deliver_verdict *);

#endif
