/*
 * mbox_letter: a letter as it stands in an mbox.
 */
#ifndef MAILBOX_MBOX_LETTER_H
#define MAILBOX_MBOX_LETTER_H

#include "mailbox.h"

/* 0, or -1 with errno, which ends it. */
typedef int (*mbox_sink)(void *arg, const void *data, size_t len);

/*
 * So many LFs, then the "From " line, head and content, "From " lines quoted
 * (mboxrd) and fields left out as wire/mbox_filter.h says, a last LF where
 * there is none, and an empty line.  The same every
 * time it is called for a letter.
 */
int	mbox_letter_print(const struct mailbox_letter *, unsigned newlines,
	    mbox_sink, void *arg);

#endif
