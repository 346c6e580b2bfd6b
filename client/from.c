/*
 * from: writes a From field.
 *
 * Runs in sendmail, as whoever called it; touches nothing but its arguments.
 */
#include <stdio.h>
#include <string.h>

#include "../wire/utf8.h"
#include "from.h"

#define NAME_ROOM	200	/* octets of a name as it is written */
#define WORD_MAX	75	/* an encoded word's (RFC 2047 section 2) */

static int
is_plain(const char *name)
{
	for (; *name != '\0'; name++)
		if (*name < ' ' || *name > '~')
			return 0;
	return 1;
}

/* A quoted string: right for every name in ASCII. */
static int
quote(char *dst, size_t size, const char *name)
{
	size_t n = 0;

	dst[n++] = '"';
	for (; *name != '\0'; name++) {
		if (n + 4 > size)
			return -1;
		if (*name == '"' || *name == '\\')
			dst[n++] = '\\';
		dst[n++] = *name;
	}
	dst[n++] = '"';
	dst[n] = '\0';
	return 0;
}

static int
is_safe(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

/* One encoded word of RFC 2047, or none. */
static int
encode(char *dst, const char *name)
{
	size_t n = strlcpy(dst, "=?utf-8?q?", NAME_ROOM);
	unsigned char c;

	for (; (c = (unsigned char)*name) != '\0'; name++) {
		if (c < ' ' || c == 127 || n + 3 + 2 > WORD_MAX)
			return -1;
		if (c == ' ')
			dst[n++] = '_';
		else if (is_safe(c))
			dst[n++] = (char)c;
		else
			n += (size_t)snprintf(dst + n, NAME_ROOM - n, "=%02X",
			    c);
	}
	strlcpy(dst + n, "?=", NAME_ROOM - n);
	return 0;
}

int
from_print(char text[FROM_TEXT_MAX], const char *name, const char *address)
{
	char written[NAME_ROOM];
	int n, r;

	if (is_plain(name))
		r = quote(written, sizeof(written), name);
	else if (utf8_is_valid(name, strlen(name)))
		r = encode(written, name);
	else
		r = -1;
	if (name[0] == '\0' || r == -1)
		n = snprintf(text, FROM_TEXT_MAX, "From: %s\n", address);
	else
		n = snprintf(text, FROM_TEXT_MAX, "From: %s\n <%s>\n", written,
		    address);
	return n < 0 || n >= FROM_TEXT_MAX ? -1 : 0;
}
