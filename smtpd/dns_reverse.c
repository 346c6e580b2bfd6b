/*
 * dns_reverse: which host an address belongs to.
 *
 * Runs in the resolver, as resolver-user, and in the session agent, as
 * queue-user, which looks at the name once more; touches nothing.  What an
 * address is called is said by whoever has it (C21): that counts only if the
 * owner of the name says so, too.
 */
#include <arpa/inet.h>

#include <stdio.h>
#include <string.h>

#include "dns_reply.h"
#include "dns_reverse.h"

/* "7.2.0.192.in-addr.arpa" */
static void
reverse4(const uint8_t a[4], char name[HOSTNAME_MAX])
{
	(void)snprintf(name, HOSTNAME_MAX, "%u.%u.%u.%u.in-addr.arpa",
	    (unsigned)a[3], (unsigned)a[2], (unsigned)a[1], (unsigned)a[0]);
}

/* "8.b.d.0.1.0.0.2.ip6.arpa", with 32 digits */
static void
reverse6(const uint8_t a[16], char name[HOSTNAME_MAX])
{
	static const char digits[] = "0123456789abcdef";
	size_t i, at = 0;

	for (i = 16; i-- > 0;) {
		name[at++] = digits[a[i] & 15];
		name[at++] = '.';
		name[at++] = digits[a[i] >> 4];
		name[at++] = '.';
	}
	(void)strlcpy(name + at, "ip6.arpa", HOSTNAME_MAX - at);
}

int
dns_reverse_begin(struct dns_reverse *r, const char *address)
{
	memset(r, 0, sizeof(*r));
	r->type = DNS_PTR;
	if (inet_pton(AF_INET, address, r->address) == 1) {
		r->forward = DNS_A;
		reverse4(r->address, r->asked);
		return 0;
	}
	if (inet_pton(AF_INET6, address, r->address) != 1)
		return -1;
	r->forward = DNS_AAAA;
	reverse6(r->address, r->asked);
	return 0;
}

static void
take_names(struct dns_reverse *r, const struct dns_answer *a)
{
	size_t i;

	for (i = 0; i < a->count && r->count < DNS_NAMES_TRIED; i++)
		if (dns_reverse_is_name(a->records[i].host))
			strlcpy(r->names[r->count++], a->records[i].host,
			    HOSTNAME_MAX);
}

static int
has_address(const struct dns_reverse *r, const struct dns_answer *a)
{
	const size_t size = r->forward == DNS_A ? 4 : 16;
	size_t i;

	for (i = 0; i < a->count; i++)
		if (memcmp(a->records[i].address, r->address, size) == 0)
			return 1;
	return 0;
}

void
dns_reverse_answered(struct dns_reverse *r, const struct dns_answer *a)
{
	const int is_told = a->status == DNS_OK && a->type == r->type;

	if (r->type == DNS_PTR && is_told)
		take_names(r, a);
	else if (is_told && has_address(r, a)) {
		strlcpy(r->name, r->asked, sizeof(r->name));
		r->is_over = 1;
		return;
	}
	if (r->next == r->count) {
		r->is_over = 1;
		return;
	}
	r->type = r->forward;
	strlcpy(r->asked, r->names[r->next++], sizeof(r->asked));
}

int
dns_reverse_is_name(const char *name)
{
	const char *last = strrchr(name, '.');
	size_t i, len = strlen(name);

	if (!dns_is_host(name) || strchr(name, '_') != NULL)
		return 0;
	for (i = 0; i < len; i++)
		if (name[i] == '-' && (i == 0 || name[i - 1] == '.' ||
		    name[i + 1] == '.' || name[i + 1] == '\0'))
			return 0;
	/* No top-level domain is a number: "10.0.0.1" is no host's name. */
	last = last != NULL ? last + 1 : name;
	return last[strspn(last, "0123456789")] != '\0';
}
