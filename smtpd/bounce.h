/*
 * bounce: the text of a delivery status notification (RFC 3461-3464, RFC 6522;
 * RFC 6533 for addresses in UTF-8): what a person reads, what a program reads,
 * and the letter or its header.
 *
 * It holds what is on record, the paths and parameters that came with the
 * letter, and octets of the letter itself: nothing of what lies behind a
 * local name (C7).
 */
#ifndef SMTPD_BOUNCE_H
#define SMTPD_BOUNCE_H

#include "privsep/config.h"
#include "smtpd/spool.h"

/* A whole letter comes back up to this length; of a longer one its header. */
#define BOUNCE_RETURN_MAX	(256 * 1024)	/* octets */
#define BOUNCE_BOUNDARY_MAX	32

enum bounce_action {
	BOUNCE_FAILED,
	BOUNCE_DELAYED,
	BOUNCE_DELIVERED	/* or relayed, or expanded */
};

struct bounce {
	const struct config	*config;
	const struct letter	*letter;
	enum bounce_action	 action;
	int			 is_double;	/* postmaster is told */
	const struct outcome *const *outcomes;	/* these, borrowed */
	size_t			 count;
	uint64_t		 now;
	/* bounce_prepare()'s: */
	int			 is_whole;	/* the letter comes back */
	int			 is_utf8;	/* addresses are */
	int			 is_8bit;	/* something in it is */
	uint64_t		 returned;	/* octets of the letter */
	char			 boundary[BOUNCE_BOUNDARY_MAX];
};

/* Look at the letter.  0, or -1 with errno. */
int	bounce_prepare(struct bounce *);
/* From nobody to the sender, or to postmaster. */
void	bounce_envelope(const struct bounce *, struct envelope_writer *);
/* All of the text; the writer knows what failed. */
void	bounce_write(const struct bounce *, struct spool_writer *);

#endif
