/*
 * srs: reverse-paths rewritten, and the way back.
 *
 * Runs in the queue and in session agents, as queue-user; touches the memory
 * that it is given.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "mailbox/sha256.h"
#include "smtpd/srs.h"

#define BLOCK		64	/* octets, of SHA-256 */
#define SIGNED_MAX	(ADDRESS_LOCAL_LIMIT + ADDRESS_DOMAIN_LIMIT + 8)
#define TAG_LEN		5	/* "SRS0=" */
#define LOCAL_MAX	64	/* octets that every host takes (RFC 5321,
				 * 4.5.3.1.1), with quotes */
#define STAMP_LEN	2
#define STAMP_DAYS	1024	/* until it comes round */

static const char digits32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "abcdefghijklmnopqrstuvwxyz0123456789+/";

/* The local part of an SRS address, cut up in place. */
struct srs {
	char		 text[ADDRESS_LOCAL_LIMIT + 1];
	char		 kind;		/* '0' or '1' */
	const char	*hash;
	const char	*stamp;		/* of an SRS0 */
	const char	*domain;
	const char	*local;		/* of an SRS1 with its separator */
};

/* ASCII only, whatever the locale is. */
static unsigned char
lower(char ch)
{
	return (unsigned char)(ch >= 'A' && ch <= 'Z' ? ch - 'A' + 'a' : ch);
}

/* HMAC-SHA256 (RFC 2104). */
static void
hmac(const char *key, const char *text, uint8_t mac[SHA256_SIZE])
{
	uint8_t inner[BLOCK + SIGNED_MAX], outer[BLOCK + SHA256_SIZE];
	uint8_t pad[BLOCK] = { 0 };
	size_t i, len = strlen(text), key_len = strlen(key);

	if (key_len > BLOCK)
		sha256(key, key_len, pad);
	else
		memcpy(pad, key, key_len);
	for (i = 0; i < BLOCK; i++) {
		inner[i] = pad[i] ^ 0x36;
		outer[i] = pad[i] ^ 0x5c;
	}
	memcpy(inner + BLOCK, text, len);
	sha256(inner, BLOCK + len, outer + BLOCK);
	sha256(outer, sizeof(outer), mac);
	explicit_bzero(inner, sizeof(inner));
	explicit_bzero(outer, sizeof(outer));
	explicit_bzero(pad, sizeof(pad));
}

/*
 * Of what comes after the hash.  A domain has no '=', so that no two addresses
 * have the same text.  -1: it is too long to be one.
 */
static int
make_hash(const char *secret, char kind, const char *stamp,
    const char *domain, const char *local, char hash[SRS_HASH_LEN + 1])
{
	char text[SIGNED_MAX];
	uint8_t mac[SHA256_SIZE];
	uint64_t bits = 0;
	size_t i;
	int n;

	n = snprintf(text, sizeof(text), "%c=%s=%s=%s", kind, stamp, domain,
	    local);
	if (n < 0 || (size_t)n >= sizeof(text))
		return -1;
	for (i = 0; text[i] != '\0'; i++)
		text[i] = (char)lower(text[i]);
	hmac(secret, text, mac);
	for (i = 0; i < 8; i++)
		bits = bits << 8 | mac[i];
	for (i = 0; i < SRS_HASH_LEN; i++)
		hash[i] = digits64[bits >> (58 - 6 * i) & 63];
	hash[i] = '\0';
	return 0;
}

/* In any case; how long it takes says nothing of where they differ. */
static int
is_hash(const char *theirs, const char ours[SRS_HASH_LEN + 1])
{
	unsigned int differs = 0;
	size_t i;

	if (strlen(theirs) != SRS_HASH_LEN)
		return 0;
	for (i = 0; i < SRS_HASH_LEN; i++)
		differs |= (unsigned int)lower(theirs[i]) ^ lower(ours[i]);
	return differs == 0;
}

/* Up to the next '=', which ends it; NULL: there is none. */
static const char *
cut(char **rest)
{
	char *part = *rest, *end = strchr(part, '=');

	if (end == NULL)
		return NULL;
	*end = '\0';
	*rest = end + 1;
	return part;
}

static int
is_separator(char ch)
{
	return ch == '=' || ch == '+' || ch == '-';
}

int
srs_is_address(const char *local)
{
	return strncasecmp(local, "SRS", 3) == 0 &&
	    (local[3] == '0' || local[3] == '1') && is_separator(local[4]);
}

/* 0, or -1: it is none, or not whole. */
static int
parse(const char *local, struct srs *s)
{
	char *rest = s->text + TAG_LEN;

	memset(s, 0, sizeof(*s));
	if (!srs_is_address(local) ||
	    strlcpy(s->text, local, sizeof(s->text)) >= sizeof(s->text))
		return -1;
	s->kind = s->text[3];
	s->stamp = "";
	if ((s->hash = cut(&rest)) == NULL ||
	    (s->kind == '0' && (s->stamp = cut(&rest)) == NULL) ||
	    (s->domain = cut(&rest)) == NULL)
		return -1;
	s->local = rest;
	if (s->hash[0] == '\0' || s->domain[0] == '\0')
		return -1;
	return s->kind == '0' ? -(rest[0] == '\0') : -!is_separator(rest[0]);
}

/* Whom it leads to: 0, or -1: nobody who could have an address. */
static int
behind(const struct srs *s, struct address *to)
{
	int n = snprintf(to->local, sizeof(to->local), "%s%s",
	    s->kind == '1' ? "SRS0" : "", s->local);

	return n >= 0 && (size_t)n < sizeof(to->local) &&
	    strlcpy(to->domain, s->domain, sizeof(to->domain)) <
	    sizeof(to->domain) && address_is_legal_utf8(to) ? 0 : -1;
}

static uint64_t
day_of(uint64_t now)
{
	return now / 86400 % STAMP_DAYS;
}

static int
digit32(char ch)
{
	const char *at;

	if (ch >= 'a' && ch <= 'z')
		ch = (char)(ch - 'a' + 'A');
	at = ch != '\0' ? strchr(digits32, ch) : NULL;
	return at != NULL ? (int)(at - digits32) : -1;
}

/* Tomorrow's is good, too: clocks differ. */
static int
is_fresh(const char *stamp, uint64_t now)
{
	int high, low;

	if (strlen(stamp) != STAMP_LEN || (high = digit32(stamp[0])) == -1 ||
	    (low = digit32(stamp[1])) == -1)
		return 0;
	return (day_of(now) + 1 + STAMP_DAYS - (uint64_t)(high * 32 + low)) %
	    STAMP_DAYS <= SRS_DAYS + 1;
}

/* The SRS address of these parts; -1: too long, or not to be written. */
static int
sign(const struct config *c, const struct srs *s, char to[ADDRESS_PRINT_MAX])
{
	char hash[SRS_HASH_LEN + 1];
	struct address a;
	int n;

	if (make_hash(c->srs_secrets[0], s->kind, s->stamp, s->domain,
	    s->local, hash) == -1)
		return -1;
	n = snprintf(a.local, sizeof(a.local), "SRS%c=%s%s%s=%s=%s", s->kind,
	    hash, s->stamp[0] != '\0' ? "=" : "", s->stamp, s->domain,
	    s->local);
	if (n < 0 || (size_t)n >= sizeof(a.local) ||
	    strlcpy(a.domain, c->srs_domain, sizeof(a.domain)) >=
	    sizeof(a.domain) || !address_is_legal_utf8(&a) ||
	    address_print(&a, to, ADDRESS_PRINT_MAX) == -1)
		return -1;
	return strrchr(to, '@') - to <= LOCAL_MAX ? 0 : -1;
}

int
srs_forward(const struct config *c, const char *reverse_path, uint64_t now,
    char to[ADDRESS_PRINT_MAX])
{
	char stamp[STAMP_LEN + 1] = { 0 };
	struct address from, whom;
	struct srs s;

	if (c->srs_domain[0] == '\0' || c->srs_secret_count == 0 ||
	    address_mailbox(reverse_path, strlen(reverse_path), ADDRESS_UTF8,
	    &from) != ADDRESS_OK || from.domain[0] == '[' ||
	    from.local[0] == '\0')
		return -1;
	/* What only looks like one is an address like any other. */
	if (parse(from.local, &s) == -1 || behind(&s, &whom) == -1) {
		stamp[0] = digits32[day_of(now) / 32];
		stamp[1] = digits32[day_of(now) % 32];
		s.kind = '0';
		s.stamp = stamp;
		s.domain = from.domain;
		s.local = from.local;
	} else if (s.kind == '0') {
		/* All of it but the tag is the other host's own. */
		s.kind = '1';
		s.stamp = "";
		s.domain = from.domain;
		s.local = from.local + TAG_LEN - 1;
	}
	return sign(c, &s, to);
}

enum srs_answer
srs_reverse(const struct config *c, const char *local, uint64_t now,
    struct address *to)
{
	char hash[SRS_HASH_LEN + 1];
	struct address a;
	struct srs s;
	size_t i;
	int is_ours = 0;

	if (parse(local, &s) == -1)
		return SRS_NONE;
	for (i = 0; i < c->srs_secret_count; i++)
		if (make_hash(c->srs_secrets[i], s.kind, s.stamp, s.domain,
		    s.local, hash) == 0)
			is_ours |= is_hash(s.hash, hash);
	if (!is_ours || behind(&s, &a) == -1)
		return SRS_FORGED;
	if (s.kind == '0' && !is_fresh(s.stamp, now))
		return SRS_OLD;
	*to = a;
	return SRS_GOOD;
}
