/*
 * address: RFC 5321 paths and mailboxes.
 *
 * Runs in the worker, as worker-user, on what the client sent; in the smtp
 * agents and the queue, as queue-user, on what they were told.  Touches
 * nothing but its arguments.
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "../wire/utf8.h"
#include "address.h"

struct scan {
	const unsigned char	*at;
	const unsigned char	*end;
	int			 is_utf8;	/* may there be any? */
};

static void
scan_init(struct scan *scan, const char *text, size_t len, int flags)
{
	scan->at = (const unsigned char *)text;
	scan->end = scan->at + len;
	scan->is_utf8 = (flags & ADDRESS_UTF8) != 0;
}

static size_t
scan_left(const struct scan *scan)
{
	return (size_t)(scan->end - scan->at);
}

static int
scan_is(const struct scan *scan, int c)
{
	return scan->at < scan->end && *scan->at == c;
}

static int
scan_take(struct scan *scan, int c)
{
	if (!scan_is(scan, c))
		return 0;
	scan->at++;
	return 1;
}

/* An octet of UTF-8 where that is allowed; is_utf8() sees to the rest. */
static int
scan_is_high(const struct scan *scan)
{
	return scan->is_utf8 && scan->at < scan->end && *scan->at > 127;
}

/* Why the octet that stopped us is wrong. */
static enum address_status
scan_wrong(const struct scan *scan)
{
	if (scan->at < scan->end && *scan->at > 126 && !scan->is_utf8)
		return ADDRESS_NONASCII;
	return ADDRESS_SYNTAX;
}

/* The locale must not have a say in these: no <ctype.h>. */
static int
is_letter_or_digit(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

static int
is_atom(int c)
{
	return is_letter_or_digit(c) ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Dot-string: atoms with single dots between them. */
static enum address_status
local_dotted(struct scan *scan, char *local)
{
	size_t n = 0;
	int need_atom = 1;

	while (scan->at < scan->end &&
	    (is_atom(*scan->at) || *scan->at == '.' || scan_is_high(scan))) {
		if (*scan->at == '.' && need_atom)
			return ADDRESS_SYNTAX;
		if (n == ADDRESS_LOCAL_LIMIT)
			return ADDRESS_TOO_LONG;
		need_atom = *scan->at == '.';
		local[n++] = (char)*scan->at++;
	}
	local[n] = '\0';
	return need_atom ? scan_wrong(scan) : ADDRESS_OK;
}

/*
 * Quoted-string.  The limit counts the text with quotes and backslashes: so
 * the unquoted form, quoted again in the shortest way, can't grow over it.
 */
static enum address_status
local_quoted(struct scan *scan, char *local)
{
	const unsigned char *start = scan->at;
	size_t n = 0;

	scan->at++;
	while (!scan_is(scan, '"')) {
		scan_take(scan, '\\');
		if (scan->at == scan->end || *scan->at < 32 ||
		    (*scan->at > 126 && !scan_is_high(scan)))
			return scan_wrong(scan);
		if (scan->at - start >= ADDRESS_LOCAL_LIMIT - 1)
			return ADDRESS_TOO_LONG;
		local[n++] = (char)*scan->at++;
	}
	scan->at++;
	local[n] = '\0';
	return ADDRESS_OK;
}

static enum address_status
local_part(struct scan *scan, char *local)
{
	if (scan_is(scan, '"'))
		return local_quoted(scan, local);
	return local_dotted(scan, local);
}

/*
 * sub-domain: letters, digits and, inside, hyphens; and underscores, which the
 * DNS has no objection to and hosts in use have in their names: this one, too,
 * may be called so (config_is_hostname()).
 */
static enum address_status
domain_label(struct scan *scan)
{
	const unsigned char *start = scan->at;

	while (scan->at < scan->end &&
	    (is_letter_or_digit(*scan->at) || *scan->at == '-' ||
	    *scan->at == '_' || scan_is_high(scan)))
		scan->at++;
	if (scan->at == start || *start == '-')
		return scan_wrong(scan);
	if (scan->at[-1] == '-')
		return ADDRESS_SYNTAX;
	if (scan->at - start > ADDRESS_LABEL_LIMIT)
		return ADDRESS_TOO_LONG;
	return ADDRESS_OK;
}

static enum address_status
domain_copy(const unsigned char *start, const unsigned char *end, char *domain)
{
	size_t len = (size_t)(end - start);

	if (len > ADDRESS_DOMAIN_LIMIT)
		return ADDRESS_TOO_LONG;
	memcpy(domain, start, len);
	domain[len] = '\0';
	return ADDRESS_OK;
}

static enum address_status
domain_name(struct scan *scan, char *domain)
{
	const unsigned char *start = scan->at;
	enum address_status status;

	do {
		if ((status = domain_label(scan)) != ADDRESS_OK)
			return status;
	} while (scan_take(scan, '.'));
	return domain_copy(start, scan->at, domain);
}

/* [192.0.2.7] or [IPv6:2001:db8::7]; other tags are not standardised. */
static enum address_status
domain_literal(struct scan *scan, char *domain)
{
	const unsigned char *start = scan->at, *close;
	unsigned char binary[sizeof(struct in6_addr)];
	char text[INET6_ADDRSTRLEN + sizeof("IPv6:")];
	size_t len;
	int good;

	close = memchr(start, ']', scan_left(scan));
	if (close == NULL)
		return scan_wrong(scan);
	len = (size_t)(close - start) - 1;
	if (len >= sizeof(text) || memchr(start, '\0', len + 1) != NULL)
		return ADDRESS_SYNTAX;
	memcpy(text, start + 1, len);
	text[len] = '\0';
	if (strncasecmp(text, "IPv6:", 5) == 0)
		good = inet_pton(AF_INET6, text + 5, binary) == 1;
	else
		good = inet_pton(AF_INET, text, binary) == 1;
	if (!good)
		return ADDRESS_SYNTAX;
	scan->at = close + 1;
	return domain_copy(start, scan->at, domain);
}

static enum address_status
domain_part(struct scan *scan, char *domain)
{
	if (scan_is(scan, '['))
		return domain_literal(scan, domain);
	return domain_name(scan, domain);
}

/* @a.example,@b.example: in front of a mailbox: RFC 5321 appendix C. */
static enum address_status
source_route(struct scan *scan)
{
	char ignored[ADDRESS_DOMAIN_LIMIT + 1];
	enum address_status status;

	do {
		if (!scan_take(scan, '@'))
			return scan_wrong(scan);
		if ((status = domain_name(scan, ignored)) != ADDRESS_OK)
			return status;
	} while (scan_take(scan, ','));
	return scan_take(scan, ':') ? ADDRESS_OK : scan_wrong(scan);
}

static enum address_status
mailbox(struct scan *scan, int may_be_bare, struct address *address)
{
	enum address_status status;

	if ((status = local_part(scan, address->local)) != ADDRESS_OK)
		return status;
	/*
	 * "" alone would look like the null path, which it is not.
	 */
	if (may_be_bare && scan->at == scan->end && address->local[0] != '\0')
		return ADDRESS_OK;
	if (!scan_take(scan, '@'))
		return scan_wrong(scan);
	return domain_part(scan, address->domain);
}

/* <postmaster>, in any case; kept in lower case. */
static int
bare_postmaster(struct scan *scan, struct address *address)
{
	static const char name[] = "postmaster";
	const size_t len = sizeof(name) - 1;

	if (scan_left(scan) <= len || scan->at[len] != '>' ||
	    strncasecmp((const char *)scan->at, name, len) != 0)
		return 0;
	memcpy(address->local, name, sizeof(name));
	scan->at += len;
	return 1;
}

static enum address_status
path(struct scan *scan, int flags, struct address *address)
{
	enum address_status status = ADDRESS_OK;

	if (!scan_take(scan, '<'))
		return scan_wrong(scan);
	if ((flags & ADDRESS_NULL) != 0 && scan_take(scan, '>'))
		return ADDRESS_OK;
	if ((flags & ADDRESS_BARE) == 0 || !bare_postmaster(scan, address)) {
		if (scan_is(scan, '@'))
			status = source_route(scan);
		if (status == ADDRESS_OK)
			status = mailbox(scan, 0, address);
	}
	if (status == ADDRESS_OK && !scan_take(scan, '>'))
		status = scan_wrong(scan);
	return status;
}

/* UTF-8, and none of the controls that are two octets there: C2 80 to C2 9F. */
static int
is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	if (!utf8_is_valid(text, strlen(text)))
		return 0;
	for (; *p != '\0'; p++)
		if (*p == 0xc2 && p[1] < 0xa0)
			return 0;
	return 1;
}

static enum address_status
check_utf8(const struct address *address)
{
	return is_utf8(address->local) && is_utf8(address->domain) ?
	    ADDRESS_OK : ADDRESS_SYNTAX;
}

enum address_status
address_path(const char *text, size_t len, int flags, struct address *address,
    size_t *used)
{
	enum address_status status;
	struct scan scan;

	scan_init(&scan, text, len, flags);
	memset(address, 0, sizeof(*address));
	status = path(&scan, flags, address);
	*used = len - scan_left(&scan);
	if (status == ADDRESS_OK)
		status = check_utf8(address);
	if (status == ADDRESS_OK && *used > ADDRESS_PATH_LIMIT)
		status = ADDRESS_TOO_LONG;
	if (status != ADDRESS_OK)
		memset(address, 0, sizeof(*address));
	return status;
}

enum address_status
address_mailbox(const char *text, size_t len, int flags,
    struct address *address)
{
	enum address_status status;
	struct scan scan;

	scan_init(&scan, text, len, flags);
	memset(address, 0, sizeof(*address));
	if (len == 0 && (flags & ADDRESS_NULL) != 0)
		return ADDRESS_OK;
	status = mailbox(&scan, (flags & ADDRESS_BARE) != 0, address);
	if (status == ADDRESS_OK && scan.at != scan.end)
		status = scan_wrong(&scan);
	if (status == ADDRESS_OK)
		status = check_utf8(address);
	/* The path of this mailbox has two angle brackets more. */
	if (status == ADDRESS_OK && len > ADDRESS_PATH_LIMIT - 2)
		status = ADDRESS_TOO_LONG;
	if (status != ADDRESS_OK)
		memset(address, 0, sizeof(*address));
	return status;
}

int
address_is_null(const struct address *address)
{
	return address->local[0] == '\0' && address->domain[0] == '\0';
}

/* 1, 0, or -1 for a local part that can't be written at all. */
static int
needs_quotes(const char *local)
{
	const unsigned char *p;
	int quotes, need_atom = 1;

	if (!is_utf8(local))
		return -1;
	quotes = 0;
	for (p = (const unsigned char *)local; *p != '\0'; p++) {
		if (*p < 32 || *p == 127)
			return -1;
		if ((*p == '.' && need_atom) ||
		    (*p != '.' && *p < 128 && !is_atom(*p)))
			quotes = 1;
		need_atom = *p == '.';
	}
	return quotes || need_atom;
}

/* Print the local part; its length, or -1. */
static ssize_t
print_local(const char *local, char *dst, size_t size)
{
	size_t n = 0;
	int quotes;

	if ((quotes = needs_quotes(local)) == -1) {
		errno = EINVAL;
		return -1;
	}
	if (size < 2 * strlen(local) + 3) {
		errno = ERANGE;
		return -1;
	}
	if (quotes)
		dst[n++] = '"';
	for (; *local != '\0'; local++) {
		if (*local == '"' || *local == '\\')
			dst[n++] = '\\';
		dst[n++] = *local;
	}
	if (quotes)
		dst[n++] = '"';
	dst[n] = '\0';
	return (ssize_t)n;
}

int
address_print(const struct address *address, char *dst, size_t size)
{
	char local[2 * ADDRESS_LOCAL_LIMIT + 3];
	const char *at = address->domain[0] != '\0' ? "@" : "";

	local[0] = '\0';
	if (!address_is_null(address) &&
	    print_local(address->local, local, sizeof(local)) == -1)
		return -1;
	if (strlcpy(dst, local, size) >= size ||
	    strlcat(dst, at, size) >= size ||
	    strlcat(dst, address->domain, size) >= size) {
		errno = ERANGE;
		return -1;
	}
	return 0;
}

static int
is_legal(const struct address *address, int flags)
{
	struct address again;
	char text[ADDRESS_PRINT_MAX];

	if (address_is_null(address) ||
	    address_print(address, text, sizeof(text)) == -1)
		return 0;
	return address_mailbox(text, strlen(text), ADDRESS_BARE | flags,
	    &again) == ADDRESS_OK && strcmp(again.local, address->local) == 0 &&
	    strcmp(again.domain, address->domain) == 0;
}

int
address_is_legal(const struct address *address)
{
	return is_legal(address, 0);
}

int
address_is_legal_utf8(const struct address *address)
{
	return is_legal(address, ADDRESS_UTF8);
}

int
address_is_ascii(const struct address *address)
{
	size_t i;

	for (i = 0; address->local[i] != '\0'; i++)
		if ((unsigned char)address->local[i] > 127)
			return 0;
	for (i = 0; address->domain[i] != '\0'; i++)
		if ((unsigned char)address->domain[i] > 127)
			return 0;
	return 1;
}
