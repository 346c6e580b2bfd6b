/*
 * config_route: where mail for a domain goes, and how, by what the
 * configuration says of it.
 *
 * Runs in the queue and in session agents, as queue-user; touches memory only.
 */
#include <string.h>
#include <strings.h>

#include "config.h"

/*
 * How well a pattern fits a domain: 0 not at all, and otherwise the more the
 * longer it is; the domain itself before any ".parent".
 */
static size_t
fit(const char *pattern, const char *domain)
{
	size_t have = strlen(domain), len = strlen(pattern);

	if (pattern[0] != '.')
		return strcasecmp(pattern, domain) == 0 ? HOSTNAME_MAX : 0;
	return have > len && strcasecmp(domain + have - len, pattern) == 0 ?
	    len : 0;
}

int
config_is_relay_domain(const struct config *c, const char *domain)
{
	size_t i;

	for (i = 0; i < c->relay_domain_count; i++)
		if (fit(c->relay_domains[i], domain) > 0)
			return 1;
	return 0;
}

int
config_is_srs_domain(const struct config *c, const char *domain)
{
	return c->srs_domain[0] != '\0' &&
	    strcasecmp(c->srs_domain, domain) == 0;
}

const struct remote *
config_route(const struct config *c, const char *domain, int *is_named)
{
	const struct mail_route *found = NULL;
	size_t i, n, best = 0;

	for (i = 0; i < c->route_count; i++) {
		n = fit(c->routes[i].domain, domain);
		if (n > best) {
			best = n;
			found = &c->routes[i];
		}
	}
	*is_named = found != NULL;
	if (found != NULL)
		return &found->to;
	return c->relay_host.host[0] != '\0' ? &c->relay_host : NULL;
}

enum relay_tls
config_relay_tls(const struct config *c, const char *domain)
{
	enum relay_tls found = RELAY_TLS_MAY;
	size_t i, n, best = 0;

	for (i = 0; i < c->relay_tls_count; i++) {
		n = strcmp(c->relay_tls[i].domain, "*") == 0 ? 1 :
		    fit(c->relay_tls[i].domain, domain);
		if (n > best) {
			best = n;
			found = c->relay_tls[i].tls;
		}
	}
	return found;
}

const struct relay_auth *
config_relay_auth(const struct config *c, const char *host)
{
	size_t i;

	for (i = 0; i < c->relay_auth_count; i++)
		if (strcasecmp(c->relay_auths[i].host, host) == 0)
			return &c->relay_auths[i];
	return NULL;
}
