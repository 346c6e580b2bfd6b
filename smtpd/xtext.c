/*
 * xtext: RFC 3461's fields.
 *
 * Runs in the worker, as worker-user, on what the client sent; in the session
 * agent and the queue, as queue-user, on what they were told.  Touches nothing
 * but its arguments.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../wire/utf8.h"
#include "gates.h"
#include "xtext.h"

/* The value of a digit, upper case only; -1: it is none. */
static int
digit_of(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The octet that "+" and two digits stand for, -1: they don't. */
static int
code_at(const char *text, size_t len)
{
	int high, low;

	if (len < 3 || (high = digit_of(text[1])) == -1 ||
	    (low = digit_of(text[2])) == -1)
		return -1;
	return high << 4 | low;
}

static int
is_plain(int c)
{
	return c > 32 && c < 127 && c != '=';
}

int
xtext_is_legal(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!is_plain(text[i]))
			return 0;
		if (text[i] != '+')
			continue;
		if (code_at(text + i, len - i) == -1)
			return 0;
		i += 2;
	}
	return 1;
}

int
xtext_decode(const char *xtext, char *dst, size_t size)
{
	size_t len = strlen(xtext), i, n = 0;
	int c;

	if (!xtext_is_legal(xtext, len)) {
		errno = EINVAL;
		return -1;
	}
	for (i = 0; i < len; i++) {
		c = xtext[i];
		if (c == '+') {
			c = code_at(xtext + i, len - i);
			i += 2;
		}
		if (c == '\0' || n + 1 >= size) {
			errno = c == '\0' ? EINVAL : ERANGE;
			return -1;
		}
		dst[n++] = (char)c;
	}
	if (size == 0) {
		errno = ERANGE;
		return -1;
	}
	dst[n] = '\0';
	return 0;
}

int
envid_is_legal(const char *envid)
{
	size_t len = strlen(envid);

	return len < ENVID_MAX && xtext_is_legal(envid, len);
}

/* addr-type is an atom (RFC 3461, 4.2): such as come are words. */
static size_t
type_length(const char *orcpt, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!(orcpt[i] >= 'a' && orcpt[i] <= 'z') &&
		    !(orcpt[i] >= 'A' && orcpt[i] <= 'Z') &&
		    !(orcpt[i] >= '0' && orcpt[i] <= '9') && orcpt[i] != '-')
			break;
	return i;
}

/* utf-8-addr-unitext: as xtext, but no octet over 127 needs a code. */
static int
is_unitext(const char *text, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n) {
		for (n = 0; i + n < len && (unsigned char)text[i + n] > 127;
		    n++)
			if ((unsigned char)text[i + n] == 0xc2 &&
			    i + n + 1 < len &&
			    (unsigned char)text[i + n + 1] < 0xa0)
				return 0;
		if (n > 0)
			continue;
		n = text[i] == '+' ? 3 : 1;
		if (i + n > len || !xtext_is_legal(text + i, n))
			return 0;
	}
	return utf8_is_valid(text, len);
}

int
orcpt_is_legal(const char *orcpt)
{
	size_t len = strlen(orcpt), type = type_length(orcpt, len);
	const char *value = orcpt + type + 1;

	if (len == 0)
		return 1;
	if (len >= ORCPT_MAX || type == 0 || orcpt[type] != ';' ||
	    len == type + 1)
		return 0;
	if (type == 5 && strncasecmp(orcpt, "utf-8", 5) == 0)
		return is_unitext(value, len - type - 1);
	return xtext_is_legal(value, len - type - 1);
}

int
orcpt_repair(const char *text, size_t len, char orcpt[ORCPT_MAX])
{
	size_t i, n = 0;
	int is_bare;

	for (i = 0; i < len; i++) {
		is_bare = text[i] == '+' && code_at(text + i, len - i) == -1;
		if (n + (is_bare ? 3 : 1) >= ORCPT_MAX)
			return -1;
		orcpt[n++] = text[i];
		if (is_bare) {
			orcpt[n++] = '2';
			orcpt[n++] = 'B';
		}
	}
	orcpt[n] = '\0';
	return n > 0 && orcpt_is_legal(orcpt) ? 0 : -1;
}

void
orcpt_make(const char *address, char orcpt[ORCPT_MAX])
{
	size_t n = strlcpy(orcpt, "rfc822;", ORCPT_MAX);

	for (; *address != '\0'; address++) {
		if ((unsigned char)*address > 127 || n + 3 >= ORCPT_MAX) {
			n = 0;
			break;
		}
		if (is_plain(*address) && *address != '+')
			orcpt[n++] = *address;
		else
			n += (size_t)snprintf(orcpt + n, ORCPT_MAX - n,
			    "+%02X", (unsigned char)*address);
	}
	orcpt[n] = '\0';
}

int
notify_is_legal(uint32_t notify)
{
	return notify == NOTIFY_NEVER || (notify & ~(uint32_t)
	    (NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY)) == 0;
}
