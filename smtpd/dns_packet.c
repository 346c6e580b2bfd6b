/*
 * dns_packet: an answer as a name server gives it.
 *
 * Runs in the resolver, as resolver-user; touches nothing.  libunbound hands
 * on what strangers sent (C21): the system's parser of messages finds the
 * records, and every name and length is looked at here.
 */
#include <sys/types.h>

#include <arpa/nameser.h>
#include <netinet/in.h>

#include <ctype.h>
#include <resolv.h>
#include <string.h>

#include "dns_packet.h"
#include "dns_reply.h"

#define CHAIN_MAX	16	/* CNAMEs behind CNAMEs */
#define RECORDS_LOOKED	500	/* of a section, whatever it says */
#define NAME_ROOM	1025	/* a name with all of it escaped */

/* Lower case, no final dot; 0, or -1 if it is too long to be a host's. */
static int
tidy(const char *from, char to[HOSTNAME_MAX])
{
	size_t i;

	for (i = 0; from[i] != '\0'; i++) {
		if (i == HOSTNAME_MAX - 1)
			return -1;
		to[i] = (char)tolower((unsigned char)from[i]);
	}
	if (i > 0 && to[i - 1] == '.')
		i--;
	to[i] = '\0';
	return 0;
}

/* The name in a record's data: 0 with it, or -1. */
static int
name_at(const ns_msg *msg, const uint8_t *p, char name[HOSTNAME_MAX])
{
	char text[NAME_ROOM];

	if (ns_name_uncompress(ns_msg_base(*msg), ns_msg_end(*msg), p, text,
	    sizeof(text)) == -1)
		return -1;
	return tidy(text, name);
}

static int
record_count(const ns_msg *msg)
{
	int n = ns_msg_count(*msg, ns_s_an);

	return n < RECORDS_LOOKED ? n : RECORDS_LOOKED;
}

static int
is_of(const ns_rr *rr, const char *name, int type)
{
	char owner[HOSTNAME_MAX];

	return ns_rr_class(*rr) == ns_c_in && (int)ns_rr_type(*rr) == type &&
	    tidy(ns_rr_name(*rr), owner) == 0 && strcmp(owner, name) == 0;
}

static void
take_ttl(const ns_rr *rr, struct dns_answer *answer)
{
	if (ns_rr_ttl(*rr) < answer->ttl)
		answer->ttl = ns_rr_ttl(*rr);
}

/* Where the alias leads: 1; 0: it is none; -1: nonsense. */
static int
follow(ns_msg *msg, char name[HOSTNAME_MAX], struct dns_answer *answer)
{
	int i, n = record_count(msg);
	ns_rr rr;

	for (i = 0; i < n; i++) {
		if (ns_parserr(msg, ns_s_an, i, &rr) == -1)
			return -1;
		if (!is_of(&rr, name, (int)ns_t_cname))
			continue;
		take_ttl(&rr, answer);
		return name_at(msg, ns_rr_rdata(rr), name) == 0 ? 1 : -1;
	}
	return 0;
}

/* Those that are better stay before it; beyond the last place it is lost. */
static void
insert(struct dns_answer *answer, const struct dns_record *r)
{
	size_t at = answer->count;

	while (at > 0 && answer->records[at - 1].preference > r->preference)
		at--;
	if (at == DNS_RECORDS_MAX)
		return;
	if (answer->count < DNS_RECORDS_MAX)
		answer->count++;
	memmove(&answer->records[at + 1], &answer->records[at],
	    (answer->count - 1 - at) * sizeof(*r));
	answer->records[at] = *r;
}

static void
take_record(const ns_msg *msg, const ns_rr *rr, struct dns_answer *answer)
{
	const uint8_t *data = ns_rr_rdata(*rr);
	size_t len = ns_rr_rdlen(*rr);
	struct dns_record r;

	memset(&r, 0, sizeof(r));
	switch (answer->type) {
	case DNS_A:
	case DNS_AAAA:
		if (len != (answer->type == DNS_A ? 4 : 16))
			return;
		memcpy(r.address, data, len);
		break;
	case DNS_MX:
		if (len < 3)
			return;
		r.preference = (uint16_t)(data[0] << 8 | data[1]);
		data += 2;
		/* FALLTHROUGH */
	case DNS_PTR:
		if (name_at(msg, data, r.host) == -1 || !(dns_is_host(r.host) ||
		    (answer->type == DNS_MX && r.host[0] == '\0')))
			return;
		break;
	}
	insert(answer, &r);
}

/*
 * Records that are there, but of which none can be used, are not the same as
 * none: a domain whose mail exchangers have impossible names is not its own.
 */
static enum dns_status
take_records(ns_msg *msg, const char *name, struct dns_answer *answer)
{
	int i, n = record_count(msg), has_some = 0;
	ns_rr rr;

	for (i = 0; i < n; i++) {
		if (ns_parserr(msg, ns_s_an, i, &rr) == -1)
			return DNS_TEMPFAIL;
		if (!is_of(&rr, name, (int)answer->type))
			continue;
		has_some = 1;
		take_ttl(&rr, answer);
		take_record(msg, &rr, answer);
	}
	return has_some ? DNS_OK : DNS_NODATA;
}

static enum dns_status
read_answer(ns_msg *msg, const char *asked, struct dns_answer *answer)
{
	char name[HOSTNAME_MAX];
	int i, step = 1;

	if (tidy(asked, name) == -1)
		return DNS_TEMPFAIL;
	for (i = 0; i < CHAIN_MAX && step == 1; i++)
		step = follow(msg, name, answer);
	if (step != 0)
		return DNS_TEMPFAIL;
	if (ns_msg_getflag(*msg, ns_f_rcode) == ns_r_nxdomain)
		return DNS_NXDOMAIN;
	if (ns_msg_getflag(*msg, ns_f_rcode) != ns_r_noerror)
		return DNS_TEMPFAIL;
	return take_records(msg, name, answer);
}

void
dns_packet_read(const uint8_t *packet, size_t len, const char *name,
    struct dns_answer *answer)
{
	ns_msg msg;

	answer->count = 0;
	answer->ttl = UINT32_MAX;
	if (len > 65535 || ns_initparse(packet, (int)len, &msg) == -1)
		answer->status = DNS_TEMPFAIL;
	else
		answer->status = read_answer(&msg, name, answer);
	if (answer->status != DNS_OK)
		answer->count = 0;
	if (answer->ttl == UINT32_MAX)
		answer->ttl = 0;
}
