/*
 * domain_map: whose the addresses of mapped domains are (domain-map of
 * postern.conf(5)).
 *
 * An address is looked up as it is, then without its detail
 * (recipient-delimiter), then as "@domain".  A domain with an address in the
 * map is one of this host; who is not in the map is not there, unless the
 * domain is one of `domains', too, whose accounts and aliases come after it.
 */
#ifndef SMTPD_DOMAIN_MAP_H
#define SMTPD_DOMAIN_MAP_H

#include "smtpd/aliases.h"

enum map_answer {
	MAP_OTHER,		/* not a domain of the map */
	MAP_FOUND,
	MAP_UNKNOWN,		/* a domain of the map, and nobody there */
	MAP_FAILED		/* the map can't be used: it might be one */
};

/*
 * After a refresh.  With MAP_FOUND the entry and what its targets are in; both
 * are good until the next look-up.  local is unquoted.
 */
enum map_answer domain_map_find(struct aliases_file *map, const char *local,
	    const char *domain, const struct alias **entry,
	    const struct aliases **in);
/* The same of the domain alone: MAP_FOUND, MAP_OTHER or MAP_FAILED. */
enum map_answer domain_map_has(struct aliases_file *map, const char *domain);

/* "user+detail": user, if there is a detail; 0 or -1. */
int	address_without_detail(const struct config *, const char *local,
	    char user[ADDRESS_LOCAL_LIMIT + 1]);

#endif
