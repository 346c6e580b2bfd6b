/*
 * dns_packet: an answer as a name server gives it (RFC 1035 section 4).
 */
#ifndef SMTPD_DNS_PACKET_H
#define SMTPD_DNS_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "dns.h"

/*
 * Read the records of answer->type of that name, through CNAMEs, into answer:
 * status, ttl, count and records, the best mail exchangers first.  is_secure
 * is left alone.  A packet that is not one, or goes in circles, is
 * DNS_TEMPFAIL; single records that are odd are left out.
 */
void	dns_packet_read(const uint8_t *packet, size_t len, const char *name,
	    struct dns_answer *answer);

#endif
