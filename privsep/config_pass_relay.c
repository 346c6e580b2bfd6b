/*
 * config_pass_relay: how mail is sent to other hosts, on its way from the
 * master to a role; as strict as config_pass.c, which it belongs to.
 *
 * Runs in the master, as root, and in every role at its start; touches memory
 * only.
 */
#include <arpa/inet.h>

#include <string.h>

#include "config.h"
#include "config_coder.h"
#include "config_table.h"

#define PORT_LAST	65535

static void
put_optional(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	coder_put_string(k, FIELD_CONST(char, c, f));
}

static void
get_optional(struct coder *k, struct config *c, const struct config_field *f)
{
	char *path = FIELD_AT(char, c, f);

	coder_get_string(k, path, CONFIG_PATH_MAX);
	if (path[0] != '\0' && !config_is_path(path))
		k->bad = 1;
}

/* An account that need not be there: its name alone then, and that empty. */
static void
put_command_user(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	const struct account_ids *user = FIELD_CONST(struct account_ids, c, f);

	coder_put_string(k, user->name);
	if (user->name[0] == '\0')
		return;
	coder_put_number(k, user->uid);
	coder_put_number(k, user->gid);
	if (!config_is_service_id(user->uid) ||
	    !config_is_service_id(user->gid))
		k->bad = 1;	/* config_resolve() was forgotten */
}

static void
get_command_user(struct coder *k, struct config *c,
    const struct config_field *f)
{
	struct account_ids *user = FIELD_AT(struct account_ids, c, f);

	coder_get_string(k, user->name, sizeof(user->name));
	if (user->name[0] == '\0')
		return;
	user->uid = coder_get_number(k);
	user->gid = coder_get_number(k);
	if (!config_is_account(user->name) ||
	    !config_is_service_id(user->uid) ||
	    !config_is_service_id(user->gid))
		k->bad = 1;
}

static void
put_dns(struct coder *k, const struct config *c, const struct config_field *f)
{
	size_t i;

	(void)f;
	coder_put_number(k, (uint32_t)c->dns_server_count);
	for (i = 0; i < c->dns_server_count; i++) {
		coder_put_string(k, c->dns_servers[i].address);
		coder_put_number(k, c->dns_servers[i].port);
	}
}

static int
is_address(const char *text)
{
	struct in6_addr a;

	return inet_pton(AF_INET, text, &a) == 1 ||
	    inet_pton(AF_INET6, text, &a) == 1;
}

static uint16_t
get_port(struct coder *k)
{
	uint32_t port = coder_get_number(k);

	if (port == 0 || port > PORT_LAST)
		k->bad = 1;
	return (uint16_t)port;
}

static void
get_dns(struct coder *k, struct config *c, const struct config_field *f)
{
	struct dns_server *s;
	size_t i;

	(void)f;
	c->dns_server_count = coder_get_count(k, CONFIG_DNS_MAX);
	for (i = 0; i < c->dns_server_count && !k->bad; i++) {
		s = &c->dns_servers[i];
		coder_get_string(k, s->address, sizeof(s->address));
		s->port = get_port(k);
		if (!is_address(s->address))
			k->bad = 1;
	}
}

/* Where other hosts find us, and nothing of the rest: so addresses only. */
static int
is_door(const struct listener *l)
{
	return l->service == SERVICE_SMTP && (l->address.ss_family == AF_INET ||
	    l->address.ss_family == AF_INET6);
}

static void
put_door(struct coder *k, const struct listener *l)
{
	const struct sockaddr_in *in = (const void *)&l->address;
	const struct sockaddr_in6 *in6 = (const void *)&l->address;
	int family = l->address.ss_family;
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(family, family == AF_INET ? (const void *)&in->sin_addr :
	    (const void *)&in6->sin6_addr, text, sizeof(text)) == NULL)
		k->bad = 1;
	else
		coder_put_string(k, text);
	coder_put_number(k, ntohs(in->sin_port));	/* in6's, too */
}

static void
put_doors(struct coder *k, const struct config *c, const struct config_field *f)
{
	uint32_t n = 0;
	size_t i;

	(void)f;
	for (i = 0; i < c->listener_count; i++)
		n += is_door(&c->listeners[i]) != 0;
	coder_put_number(k, n);
	for (i = 0; i < c->listener_count; i++)
		if (is_door(&c->listeners[i]))
			put_door(k, &c->listeners[i]);
}

/* An address as inet_ntop(3) writes it; in network order in octets. */
static int
get_address(struct coder *k, void *octets)
{
	char text[INET6_ADDRSTRLEN], again[INET6_ADDRSTRLEN];
	int family;

	coder_get_string(k, text, sizeof(text));
	family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, octets) != 1 ||
	    inet_ntop(family, octets, again, sizeof(again)) == NULL ||
	    strcmp(text, again) != 0)
		k->bad = 1;
	return family;
}

static void
get_doors(struct coder *k, struct config *c, const struct config_field *f)
{
	uint8_t octets[sizeof(struct in6_addr)];
	struct listener *l;
	struct sockaddr_in *in;
	struct sockaddr_in6 *in6;
	size_t i;

	(void)f;
	memset(c->listeners, 0, sizeof(c->listeners));
	c->listener_count = coder_get_count(k, CONFIG_LISTEN_MAX);
	for (i = 0; i < c->listener_count && !k->bad; i++) {
		l = &c->listeners[i];
		in = (void *)&l->address;
		in6 = (void *)&l->address;
		l->service = SERVICE_SMTP;
		l->address.ss_family = (sa_family_t)get_address(k, octets);
		in->sin_port = htons(get_port(k));	/* in6's, too */
		if (l->address.ss_family == AF_INET)
			memcpy(&in->sin_addr, octets, sizeof(in->sin_addr));
		else
			memcpy(&in6->sin6_addr, octets,
			    sizeof(in6->sin6_addr));
		l->address_len = l->address.ss_family == AF_INET ?
		    sizeof(*in) : sizeof(*in6);
	}
}

static void
put_place(struct coder *k, const struct remote *to)
{
	coder_put_string(k, to->host);
	if (to->host[0] == '\0')
		return;
	coder_put_number(k, to->protocol);
	if (to->protocol != REMOTE_LMTP_SOCKET)
		coder_put_number(k, to->port);
}

static void
get_place(struct coder *k, struct remote *to)
{
	uint32_t protocol;

	coder_get_string(k, to->host, sizeof(to->host));
	if (to->host[0] == '\0')
		return;
	protocol = coder_get_number(k);
	if (protocol > REMOTE_LMTP_SOCKET) {
		k->bad = 1;
		return;
	}
	to->protocol = (enum remote_protocol)protocol;
	if (to->protocol == REMOTE_LMTP_SOCKET) {
		if (!config_is_socket_path(to->host))
			k->bad = 1;
		return;
	}
	to->port = get_port(k);
	if (!config_is_hostname(to->host) && !is_address(to->host))
		k->bad = 1;
}

static void
put_remote(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	put_place(k, FIELD_CONST(struct remote, c, f));
}

static void
get_remote(struct coder *k, struct config *c, const struct config_field *f)
{
	get_place(k, FIELD_AT(struct remote, c, f));
}

static void
put_routes(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	size_t i;

	(void)f;
	coder_put_number(k, (uint32_t)c->route_count);
	for (i = 0; i < c->route_count; i++) {
		coder_put_string(k, c->routes[i].domain);
		put_place(k, &c->routes[i].to);
	}
}

static void
get_routes(struct coder *k, struct config *c, const struct config_field *f)
{
	struct mail_route *r;
	size_t i;

	(void)f;
	c->route_count = coder_get_count(k, CONFIG_ROUTES_MAX);
	for (i = 0; i < c->route_count && !k->bad; i++) {
		r = &c->routes[i];
		coder_get_string(k, r->domain, sizeof(r->domain));
		get_place(k, &r->to);
		if (!config_is_pattern(r->domain) || r->to.host[0] == '\0')
			k->bad = 1;
	}
}

static void
put_relay_tls(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	size_t i;

	(void)f;
	coder_put_number(k, (uint32_t)c->relay_tls_count);
	for (i = 0; i < c->relay_tls_count; i++) {
		coder_put_string(k, c->relay_tls[i].domain);
		coder_put_number(k, c->relay_tls[i].tls);
	}
}

static void
get_relay_tls(struct coder *k, struct config *c, const struct config_field *f)
{
	struct relay_tls_rule *r;
	size_t i;

	(void)f;
	c->relay_tls_count = coder_get_count(k, CONFIG_RELAY_TLS_MAX);
	for (i = 0; i < c->relay_tls_count && !k->bad; i++) {
		r = &c->relay_tls[i];
		coder_get_string(k, r->domain, sizeof(r->domain));
		r->tls = (enum relay_tls)coder_get_count(k, RELAY_TLS_VERIFY);
		if (strcmp(r->domain, "*") != 0 &&
		    !config_is_pattern(r->domain))
			k->bad = 1;
	}
}

static void
put_relay_auth(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	const struct relay_auth *a;
	size_t i;

	/* Where the file is, is nobody's business. */
	(void)f;
	coder_put_number(k, (uint32_t)c->relay_auth_count);
	for (i = 0; i < c->relay_auth_count; i++) {
		a = &c->relay_auths[i];
		coder_put_string(k, a->host);
		coder_put_string(k, a->user);
		coder_put_string(k, a->secret);
	}
}

static void
get_relay_auth(struct coder *k, struct config *c, const struct config_field *f)
{
	struct relay_auth *a;
	size_t i;

	(void)f;
	c->relay_auth_count = coder_get_count(k, CONFIG_RELAY_AUTH_MAX);
	for (i = 0; i < c->relay_auth_count && !k->bad; i++) {
		a = &c->relay_auths[i];
		coder_get_string(k, a->host, sizeof(a->host));
		coder_get_string(k, a->user, sizeof(a->user));
		coder_get_string(k, a->secret, sizeof(a->secret));
		if ((!config_is_hostname(a->host) && !is_address(a->host)) ||
		    a->user[0] == '\0' || a->secret[0] == '\0')
			k->bad = 1;
	}
}

static void
put_srs_domain(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	(void)f;
	coder_put_string(k, c->srs_domain);
}

static void
get_srs_domain(struct coder *k, struct config *c, const struct config_field *f)
{
	(void)f;
	coder_get_string(k, c->srs_domain, sizeof(c->srs_domain));
	if (c->srs_domain[0] != '\0' && !config_is_hostname(c->srs_domain))
		k->bad = 1;
}

/* As relay-auth's: what is in the file, and not where it is. */
static void
put_srs_secrets(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	size_t i;

	(void)f;
	coder_put_number(k, (uint32_t)c->srs_secret_count);
	for (i = 0; i < c->srs_secret_count; i++)
		coder_put_string(k, c->srs_secrets[i]);
}

static void
get_srs_secrets(struct coder *k, struct config *c,
    const struct config_field *f)
{
	size_t i;

	(void)f;
	c->srs_secret_count = coder_get_count(k, CONFIG_SRS_SECRETS_MAX);
	for (i = 0; i < c->srs_secret_count && !k->bad; i++) {
		coder_get_string(k, c->srs_secrets[i], CONFIG_SECRET_MAX);
		if (strlen(c->srs_secrets[i]) < CONFIG_SRS_SECRET_MIN)
			k->bad = 1;
	}
}

static void
put_patterns(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	const config_name *list = FIELD_CONST(config_name, c, f);
	size_t i;

	coder_put_number(k, (uint32_t)COUNT_IN(c, f));
	for (i = 0; i < COUNT_IN(c, f); i++)
		coder_put_string(k, list[i]);
}

static void
get_patterns(struct coder *k, struct config *c, const struct config_field *f)
{
	config_name *list = FIELD_AT(config_name, c, f);
	size_t i, n = coder_get_count(k, CONFIG_RELAY_DOMAINS_MAX);

	for (i = 0; i < n && !k->bad; i++) {
		coder_get_string(k, list[i], HOSTNAME_MAX);
		if (!config_is_pattern(list[i]))
			k->bad = 1;
	}
	*COUNT_OF(c, f) = n;
}

static void
put_family(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	(void)f;
	coder_put_number(k, c->relay_family);
}

static void
get_family(struct coder *k, struct config *c, const struct config_field *f)
{
	(void)f;
	c->relay_family = (enum relay_family)coder_get_count(k, RELAY_IPV6);
}

static void
put_sources(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	char text[INET6_ADDRSTRLEN];
	size_t i;

	(void)f;
	coder_put_number(k, (uint32_t)c->relay_source_count);
	for (i = 0; i < c->relay_source_count; i++) {
		if (inet_ntop(c->relay_sources[i].family,
		    c->relay_sources[i].address, text, sizeof(text)) == NULL)
			k->bad = 1;
		else
			coder_put_string(k, text);
	}
}

static void
get_sources(struct coder *k, struct config *c, const struct config_field *f)
{
	struct network *n;
	size_t i;

	(void)f;
	c->relay_source_count = coder_get_count(k, CONFIG_SOURCES_MAX);
	for (i = 0; i < c->relay_source_count && !k->bad; i++) {
		n = &c->relay_sources[i];
		n->family = get_address(k, n->address);
		n->prefix = n->family == AF_INET ? 32 : 128;
	}
}

static void
put_delimiter(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	(void)f;
	coder_put_number(k, (uint8_t)c->recipient_delimiter);
}

static void
get_delimiter(struct coder *k, struct config *c, const struct config_field *f)
{
	(void)f;
	c->recipient_delimiter = (char)coder_get_count(k, 127);
	if (c->recipient_delimiter != '\0' &&
	    !config_is_delimiter(c->recipient_delimiter))
		k->bad = 1;
}

const struct config_coder config_relay_coders[KIND_COUNT] = {
	[KIND_LISTEN] = { put_doors, get_doors },
	[KIND_OPTIONAL] = { put_optional, get_optional },
	[KIND_COMMAND_USER] = { put_command_user, get_command_user },
	[KIND_DNS] = { put_dns, get_dns },
	[KIND_REMOTE] = { put_remote, get_remote },
	[KIND_ROUTES] = { put_routes, get_routes },
	[KIND_RELAY_TLS] = { put_relay_tls, get_relay_tls },
	[KIND_RELAY_AUTH] = { put_relay_auth, get_relay_auth },
	[KIND_SRS_DOMAIN] = { put_srs_domain, get_srs_domain },
	[KIND_SRS_SECRET] = { put_srs_secrets, get_srs_secrets },
	[KIND_PATTERNS] = { put_patterns, get_patterns },
	[KIND_FAMILY] = { put_family, get_family },
	[KIND_SOURCES] = { put_sources, get_sources },
	[KIND_DELIMITER] = { put_delimiter, get_delimiter },
};
