/*
 * from: the From field of a message that has none.
 */
#ifndef CLIENT_FROM_H
#define CLIENT_FROM_H

#include <stddef.h>

#define FROM_TEXT_MAX	1024	/* octets, with line end and NUL */

/*
 * "From: name <address>" and a line end; without the name if it is empty, holds
 * control characters, is no UTF-8, or is too long for one line.  0, or -1: the
 * address is too long.
 */
int	from_print(char text[FROM_TEXT_MAX], const char *name,
	    const char *address);

#endif
