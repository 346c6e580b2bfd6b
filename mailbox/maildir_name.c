/*
 * maildir_name: what the name of a message's file says.
 *
 * Runs in agents, as the user whose mail it is; touches nothing.  Names are
 * given by any program that may write the Maildir, and so is what they say.
 */
#include <sha2.h>
#include <string.h>

#include "maildir.h"

/* Digits up to a comma or the end; no sign, no leading zero, 18 at most. */
static int
field_number(const char *p, const char *end, uint64_t *value)
{
	uint64_t n = 0;
	const char *start = p;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (p - start == 18)
			return -1;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	if (p == start || (*start == '0' && p - start > 1))
		return -1;
	if (p < end && *p != ',')
		return -1;
	*value = n;
	return 0;
}

/* The value of ",X=" in a name, or UNSAID if it is not there exactly once. */
static uint64_t
field_value(const char *fields, const char *end, char letter)
{
	uint64_t value = MAILDIR_UNSAID;
	const char *p;

	for (p = fields; end - p >= 3; p++) {
		if (p[0] != ',' || p[1] != letter || p[2] != '=')
			continue;
		if (value != MAILDIR_UNSAID ||
		    field_number(p + 3, end, &value) == -1)
			return MAILDIR_UNSAID;
	}
	return value;
}

int
maildir_is_plausible(uint64_t size, uint64_t octets)
{
	/* A CR for each LF, and at most two line ends behind it all. */
	return octets >= size && octets <= 2 * size + 4;
}

static uint64_t
leading_number(const char *p)
{
	uint64_t n = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (n > (UINT64_MAX - 9) / 10)
			return UINT64_MAX;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	return n;
}

/*
 * Did our own delivery give this name, SECONDS.QID.HOST?  Others count the
 * octets by another rule (Dovecot leaves out the line end that we add where
 * the last one is missing), so only our own count is believed.
 */
static int
is_ours(const char *name)
{
	size_t digits = strspn(name, "0123456789"), id;
	static const char alphanumeric[] = "0123456789"
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (digits == 0 || name[digits] != '.' || name[digits + 1] != 'Q')
		return 0;
	id = strspn(name + digits + 2, alphanumeric);
	return id > 0 && name[digits + 2 + id] == '.';
}

void
maildir_name_parse(const char *name, struct maildir_name *n)
{
	size_t base = strcspn(name, ":"), unique;

	/* A name that is all INFO is no good name, but it is a message. */
	if (base == 0)
		base = strlen(name);
	unique = strcspn(name, ",");
	if (unique > base)
		unique = base;
	n->unique_len = (uint8_t)unique;
	n->base_len = (uint8_t)base;
	n->seconds = leading_number(name);
	n->size = field_value(name + unique, name + base, 'S');
	n->octets = field_value(name + unique, name + base, 'W');
	if (!is_ours(name) ||
	    (n->octets != MAILDIR_UNSAID && n->size != MAILDIR_UNSAID &&
	    !maildir_is_plausible(n->size, n->octets)))
		n->size = n->octets = MAILDIR_UNSAID;
}

void
maildir_name_uidl(const char *name, size_t unique_len, size_t base_len,
    int twin, char uidl[UIDL_MAX])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX ctx;
	size_t i;

	for (i = 0; i < unique_len; i++)
		if (name[i] < 0x21 || name[i] > 0x7e)
			break;
	if (!twin && i == unique_len && i > 0 && i < UIDL_MAX) {
		memcpy(uidl, name, unique_len);
		uidl[unique_len] = '\0';
		return;
	}
	SHA256Init(&ctx);
	SHA256Update(&ctx, (const uint8_t *)name,
	    twin || unique_len == 0 ? base_len : unique_len);
	SHA256Final(digest, &ctx);
	for (i = 0; i < sizeof(digest); i++) {
		uidl[2 * i] = hex[digest[i] >> 4];
		uidl[2 * i + 1] = hex[digest[i] & 15];
	}
	uidl[2 * sizeof(digest)] = '\0';
}
