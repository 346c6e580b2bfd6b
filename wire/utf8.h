/*
 * utf8: is it UTF-8?  A pure function for all who take names or letters that
 * may hold more than ASCII.
 */
#ifndef WIRE_UTF8_H
#define WIRE_UTF8_H

#include <stddef.h>

/*
 * RFC 3629, strictly: no octet too many for a character, no surrogates, none
 * above U+10FFFF.  ASCII is UTF-8, and so is nothing at all.
 */
int	utf8_is_valid(const char *, size_t);

#endif
