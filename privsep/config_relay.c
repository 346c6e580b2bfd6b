/*
 * config_relay: the setters of how postern.conf has mail sent to other hosts.
 *
 * Runs in the master only, as root, as part of config_parse.c.  A setter gets
 * the words of one line, stores what they mean, or reports what is wrong with
 * them.  Touches memory only.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string.h>
#include <strings.h>

#include "config.h"
#include "config_table.h"

#define PORT_SMTP	25
#define PORT_DNS	53

/* Digits only, and no port that isn't one; 0: it is not. */
static uint16_t
parse_port(const char *word)
{
	uint64_t n;

	if (config_digits(word, strlen(word), &n) == -1 || n > UINT16_MAX)
		return 0;
	return (uint16_t)n;
}

static int
is_numeric(const char *host, int *family)
{
	struct in6_addr a;

	*family = AF_INET;
	if (inet_pton(AF_INET, host, &a) == 1)
		return 1;
	*family = AF_INET6;
	return inet_pton(AF_INET6, host, &a) == 1;
}

int
config_set_dns(struct config_entry *l)
{
	struct config *c = l->config;
	struct dns_server *s = &c->dns_servers[c->dns_server_count];
	const char *at;
	size_t len;
	int family;

	if (config_one_value(l) == -1)
		return -1;
	if (config_is_first(l)) {
		c->dns_server_count = 0;
		s = &c->dns_servers[0];
	}
	/* What the system has, after all: an option's word against a file. */
	if (strcmp(l->words[0], "system") == 0) {
		c->dns_server_count = 0;
		return 0;
	}
	if (c->dns_server_count == CONFIG_DNS_MAX)
		return config_wrong(l, "more than %d", CONFIG_DNS_MAX);
	memset(s, 0, sizeof(*s));
	at = strchr(l->words[0], '@');
	len = at != NULL ? (size_t)(at - l->words[0]) : strlen(l->words[0]);
	if (len < sizeof(s->address))
		memcpy(s->address, l->words[0], len);
	s->port = at != NULL ? parse_port(at + 1) : PORT_DNS;
	if (!is_numeric(s->address, &family) || s->port == 0)
		return config_wrong(l, "`%s' is not ADDRESS or ADDRESS@PORT",
		    l->words[0]);
	c->dns_server_count++;
	return 0;
}

/*
 * HOST, HOST:PORT, ADDRESS, [ADDRESS] or [ADDRESS]:PORT; port 0: it must be
 * said.  0, or -1 reported.
 */
static int
parse_host(const struct config_entry *l, const char *word, uint16_t port,
    struct remote *to)
{
	const char *end = word + strcspn(word, ":"), *start = word;
	size_t len;
	int family = 0, is_bracketed = word[0] == '[';

	if (is_bracketed) {
		start++;
		end = start + strcspn(start, "]");
	}
	len = (size_t)(end - start);
	if (len >= sizeof(to->host))
		return config_wrong(l, "`%s' is too long", word);
	memcpy(to->host, start, len);
	to->host[len] = '\0';
	config_lower(to->host);
	if (is_bracketed && *end++ != ']')
		return config_wrong(l, "`%s' has no `]'", word);
	to->port = *end == ':' ? parse_port(end + 1) : port;
	if ((*end != '\0' && *end != ':') ||
	    (is_bracketed && !is_numeric(to->host, &family)) ||
	    (!is_bracketed && !config_is_hostname(to->host)))
		return config_wrong(l, "`%s' is not a host (an IPv6 address "
		    "needs brackets)", word);
	return to->port != 0 ? 0 : config_wrong(l, "`%s' needs a port, from 1 "
	    "to 65535", word);
}

int
config_set_remote(struct config_entry *l)
{
	struct remote *to = FIELD_AT(struct remote, l->config, l->field);

	if (config_one_value(l) == -1)
		return -1;
	memset(to, 0, sizeof(*to));
	if (strcmp(l->words[0], "none") == 0)
		return 0;
	return parse_host(l, l->words[0], PORT_SMTP, to);
}

/* smtp://HOST[:PORT], lmtp://HOST:PORT or lmtp:/PATH */
static int
parse_target(const struct config_entry *l, const char *word, struct remote *to)
{
	if (strncmp(word, "smtp://", 7) == 0)
		return parse_host(l, word + 7, PORT_SMTP, to);
	to->protocol = REMOTE_LMTP;
	if (strncmp(word, "lmtp://", 7) == 0)
		return parse_host(l, word + 7, 0, to);
	to->protocol = REMOTE_LMTP_SOCKET;
	if (strncmp(word, "lmtp:/", 6) != 0)
		return config_wrong(l, "`%s' is not smtp://HOST[:PORT], "
		    "lmtp://HOST:PORT or lmtp:/PATH", word);
	if (!config_is_socket_path(word + 5))
		return config_wrong(l, "`%s' is not the path of a socket, or "
		    "too long a one", word + 5);
	strlcpy(to->host, word + 5, sizeof(to->host));
	return 0;
}

static int
wants_pattern(const struct config_entry *l, const char *word)
{
	if (config_is_pattern(word))
		return 0;
	return config_wrong(l, "`%s' is not a domain, or .DOMAIN for all "
	    "below one", word);
}

int
config_set_route(struct config_entry *l)
{
	struct config *c = l->config;
	struct mail_route new = { .to.host = "" };
	size_t i;

	if (l->count != 2)
		return config_wrong(l, "needs a domain and where it goes");
	if (config_is_first(l))
		c->route_count = 0;
	if (wants_pattern(l, l->words[0]) == -1 ||
	    parse_target(l, l->words[1], &new.to) == -1)
		return -1;
	for (i = 0; i < c->route_count; i++)
		if (strcasecmp(c->routes[i].domain, l->words[0]) == 0)
			return config_wrong(l, "%s has a route already",
			    l->words[0]);
	if (c->route_count == CONFIG_ROUTES_MAX)
		return config_wrong(l, "more than %d", CONFIG_ROUTES_MAX);
	strlcpy(new.domain, l->words[0], sizeof(new.domain));
	config_lower(new.domain);
	c->routes[c->route_count++] = new;
	return 0;
}

int
config_set_relay_tls(struct config_entry *l)
{
	static const char *const names[] = {
		[RELAY_TLS_NONE] = "none", [RELAY_TLS_MAY] = "may",
		[RELAY_TLS_ENCRYPT] = "encrypt", [RELAY_TLS_VERIFY] = "verify"
	};
	struct config *c = l->config;
	struct relay_tls_rule *new;
	size_t i, tls = RELAY_TLS_NONE;

	if (l->count == 2)
		while (tls <= RELAY_TLS_VERIFY &&
		    strcmp(l->words[1], names[tls]) != 0)
			tls++;
	if (l->count != 2 || tls > RELAY_TLS_VERIFY)
		return config_wrong(l, "needs a domain or *, and none, may, "
		    "encrypt or verify");
	if (config_is_first(l))
		c->relay_tls_count = 0;
	if (strcmp(l->words[0], "*") != 0 &&
	    wants_pattern(l, l->words[0]) == -1)
		return -1;
	for (i = 0; i < c->relay_tls_count; i++)
		if (strcasecmp(c->relay_tls[i].domain, l->words[0]) == 0)
			return config_wrong(l, "%s was set before",
			    l->words[0]);
	if (c->relay_tls_count == CONFIG_RELAY_TLS_MAX)
		return config_wrong(l, "more than %d", CONFIG_RELAY_TLS_MAX);
	new = &c->relay_tls[c->relay_tls_count++];
	strlcpy(new->domain, l->words[0], sizeof(new->domain));
	config_lower(new->domain);
	new->tls = (enum relay_tls)tls;
	return 0;
}

int
config_set_srs_domain(struct config_entry *l)
{
	char *domain = l->config->srs_domain;

	if (config_one_value(l) == -1)
		return -1;
	domain[0] = '\0';
	if (strcmp(l->words[0], "none") == 0)
		return 0;
	if (!config_is_hostname(l->words[0]))
		return config_wrong(l, "`%s' is not a domain", l->words[0]);
	strlcpy(domain, l->words[0], HOSTNAME_MAX);
	config_lower(domain);
	return 0;
}

int
config_set_patterns(struct config_entry *l)
{
	config_name *list = FIELD_AT(config_name, l->config, l->field);
	size_t *count = (size_t *)(void *)((char *)l->config +
	    l->field->count_offset), i;

	if (l->count == 0)
		return config_wrong(l, "needs a value");
	if (config_is_first(l))
		*count = 0;
	if (l->count == 1 && strcmp(l->words[0], "none") == 0) {
		*count = 0;
		return 0;
	}
	for (i = 0; i < l->count; i++) {
		if (wants_pattern(l, l->words[i]) == -1)
			return -1;
		if (*count == CONFIG_RELAY_DOMAINS_MAX)
			return config_wrong(l, "more than %d",
			    CONFIG_RELAY_DOMAINS_MAX);
		strlcpy(list[*count], l->words[i], HOSTNAME_MAX);
		config_lower(list[(*count)++]);
	}
	return 0;
}

int
config_set_family(struct config_entry *l)
{
	static const char *const names[] = {
		[RELAY_BOTH] = "both", [RELAY_IPV4] = "ipv4",
		[RELAY_IPV6] = "ipv6"
	};
	size_t i;

	if (config_one_value(l) == -1)
		return -1;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(l->words[0], names[i]) == 0) {
			l->config->relay_family = (enum relay_family)i;
			return 0;
		}
	return config_wrong(l, "needs both, ipv4 or ipv6");
}

int
config_set_sources(struct config_entry *l)
{
	struct config *c = l->config;
	struct network *new;
	size_t i;
	int family;

	if (config_one_value(l) == -1)
		return -1;
	if (config_is_first(l))
		c->relay_source_count = 0;
	if (!is_numeric(l->words[0], &family))
		return config_wrong(l, "`%s' is not an address", l->words[0]);
	for (i = 0; i < c->relay_source_count; i++)
		if (c->relay_sources[i].family == family)
			return config_wrong(l, "one IPv4 and one IPv6 address "
			    "at most");
	new = &c->relay_sources[c->relay_source_count++];
	memset(new, 0, sizeof(*new));
	new->family = family;
	new->prefix = family == AF_INET ? 32 : 128;
	(void)inet_pton(family, l->words[0], new->address);
	return 0;
}

int
config_set_delimiter(struct config_entry *l)
{
	const char *word = l->words[0];

	if (config_one_value(l) == -1)
		return -1;
	if (strcmp(word, "none") == 0)
		l->config->recipient_delimiter = '\0';
	else if (word[1] == '\0' && config_is_delimiter(word[0]))
		l->config->recipient_delimiter = word[0];
	else
		return config_wrong(l, "needs one of " CONFIG_DELIMITERS
		    ", or none");
	return 0;
}
