/*
 * dns_reply: an answer of the resolver as octets, and back.
 *
 * Runs in the resolver, which writes it, and in the queue, which reads it and
 * believes none of it.
 */
#include <errno.h>
#include <string.h>

#include "dns_reply.h"

#define RECORD_MAX	(HOSTNAME_MAX + 8)	/* octets in a message */

int
dns_is_host(const char *name)
{
	static const char legal[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t len, total = strlen(name);

	if (total == 0 || total >= HOSTNAME_MAX)
		return 0;
	for (;;) {
		len = strspn(name, legal);
		if (len == 0 || len > 63)
			return 0;
		if (name[len] == '\0')
			return 1;
		if (name[len] != '.')
			return 0;
		name += len + 1;
	}
}

static size_t
address_size(enum dns_type type)
{
	return type == DNS_A ? 4 : type == DNS_AAAA ? 16 : 0;
}

static int
is_good(enum dns_type type, const struct dns_record *r)
{
	if (type == DNS_MX && r->host[0] == '\0')
		return 1;
	return address_size(type) > 0 || dns_is_host(r->host);
}

void
dns_reply_put(struct message *m, const struct dns_answer *a)
{
	size_t i, n, good[DNS_RECORDS_MAX], room;

	room = (MESSAGE_MAX - m->len - 20) / RECORD_MAX;
	for (i = n = 0; i < a->count && n < room; i++)
		if (is_good(a->type, &a->records[i]))
			good[n++] = i;
	put_u32(m, a->status);
	put_u32(m, a->is_secure != 0);
	put_u32(m, a->ttl);
	put_u32(m, (uint32_t)n);
	for (i = 0; i < n; i++) {
		const struct dns_record *r = &a->records[good[i]];

		if (a->type == DNS_MX)
			put_u32(m, r->preference);
		if (address_size(a->type) > 0)
			put_data(m, r->address, address_size(a->type));
		else
			put_str(m, r->host);
	}
}

static int
get_record(struct message *m, enum dns_type type, struct dns_record *r)
{
	uint32_t preference = 0;
	size_t len;

	memset(r, 0, sizeof(*r));
	if (type == DNS_MX)
		preference = get_u32(m);
	if (address_size(type) > 0) {
		get_data(m, r->address, sizeof(r->address), &len);
		return len == address_size(type) ? 0 : -1;
	}
	get_str(m, r->host, sizeof(r->host));
	r->preference = (uint16_t)preference;
	return preference <= UINT16_MAX && is_good(type, r) ? 0 : -1;
}

int
dns_reply_get(struct message *m, struct dns_answer *a)
{
	uint32_t status = get_u32(m), is_secure = get_u32(m), count;
	size_t i;
	int bad;

	a->ttl = get_u32(m);
	count = get_u32(m);
	bad = status > DNS_BOGUS || is_secure > 1 ||
	    count > DNS_RECORDS_MAX || (status != DNS_OK && count > 0);
	for (i = 0; !bad && i < count; i++)
		bad = get_record(m, a->type, &a->records[i]) == -1 || m->bad;
	a->status = (enum dns_status)status;
	a->is_secure = (int)is_secure;
	a->count = count;
	if (get_end(m) == 0 && !bad)
		return 0;
	errno = EBADMSG;
	return -1;
}
