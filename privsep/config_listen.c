/*
 * config_listen: the setters of where postern.conf lets a daemon be reached,
 * and with which certificates.
 *
 * Runs in the master only, as root, as part of config_parse.c.  A setter gets
 * the words of one line, stores what they mean, or reports what is wrong with
 * them.  Touches memory only.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string.h>
#include <strings.h>

#include "config.h"
#include "config_table.h"

/* Services that can be listened for, and their ports; 0: a Unix socket. */
static const struct {
	const char	*name;
	enum service	 service;
	in_port_t	 port;
} services[] = {
	{ "pop3", SERVICE_POP3, 110 },
	{ "pop3s", SERVICE_POP3S, 995 },
	{ "smtp", SERVICE_SMTP, 25 },
	{ "submission", SERVICE_SUBMISSION, 587 },
	{ "submissions", SERVICE_SUBMISSIONS, 465 },
	{ "lmtp", SERVICE_LMTP, 0 },
};
#define SERVICES (sizeof(services) / sizeof(services[0]))
#define SERVICE_NAMES	"pop3, pop3s, smtp, submission, submissions or lmtp"

/* Index into services, or -1. */
static int
find_service(const char *name)
{
	size_t i;

	for (i = 0; i < SERVICES; i++)
		if (strcmp(services[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* Index of the service that a line begins with; -1: reported. */
static int
named_service(const struct config_entry *l)
{
	int i = -1;

	if (l->count == 0 || (i = find_service(l->words[0])) == -1)
		return config_wrong(l, "needs a service: " SERVICE_NAMES);
	return i;
}

/* A port's number or the name of a service; 0 when it is neither. */
static in_port_t
parse_port(const char *word)
{
	uint64_t n;
	int i = find_service(word);

	if (i != -1)
		return services[i].port;
	if (config_digits(word, strlen(word), &n) == -1 || n > 65535)
		return 0;
	return (in_port_t)n;
}

/* Room for one more; NULL: reported. */
static struct listener *
new_listener(struct config_entry *l, enum service service)
{
	struct config *c = l->config;
	struct listener *new = &c->listeners[c->listener_count];

	if (c->listener_count == CONFIG_LISTEN_MAX) {
		(void)config_wrong(l, "more than %d", CONFIG_LISTEN_MAX);
		return NULL;
	}
	memset(new, 0, sizeof(*new));
	new->service = service;
	if (strlcpy(new->text, l->words[1], sizeof(new->text)) <
	    sizeof(new->text))
		return new;
	(void)config_wrong(l, "`%s' is too long", l->words[1]);
	return NULL;
}

/* It is one of them now; but the second for one place could never be opened. */
static int
keep_listener(struct config_entry *l, const struct listener *new)
{
	struct config *c = l->config;
	const struct listener *old;

	for (old = c->listeners; old < new; old++)
		if (old->address_len == new->address_len &&
		    memcmp(&old->address, &new->address,
		    new->address_len) == 0)
			return config_wrong(l, "%s and %s are the same place",
			    old->text, new->text);
	c->listener_count++;
	return 0;
}

static int
add_listener(struct config_entry *l, enum service service, int family,
    const char *host, in_port_t port)
{
	struct listener *new = new_listener(l, service);
	struct sockaddr_in in = { .sin_family = AF_INET,
	    .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
	    .sin6_port = htons(port) };

	if (new == NULL)
		return -1;
	if (inet_pton(family, host, family == AF_INET ?
	    (void *)&in.sin_addr : (void *)&in6.sin6_addr) != 1)
		return config_wrong(l, "`%s' is not an address", host);
	if (family == AF_INET) {
		memcpy(&new->address, &in, sizeof(in));
		new->address_len = sizeof(in);
	} else {
		memcpy(&new->address, &in6, sizeof(in6));
		new->address_len = sizeof(in6);
	}
	return keep_listener(l, new);
}

/* listen lmtp /PATH */
static int
add_socket(struct config_entry *l, enum service service)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct listener *new = new_listener(l, service);

	if (new == NULL)
		return -1;
	if (!config_is_socket_path(l->words[1]))
		return config_wrong(l, "`%s' is not the path of a socket, or "
		    "too long a one", l->words[1]);
	strlcpy(un.sun_path, l->words[1], sizeof(un.sun_path));
	memcpy(&new->address, &un, sizeof(un));
	new->address_len = sizeof(un);
	return keep_listener(l, new);
}

/* ADDR:PORT, with ADDR an IPv4, [IPv6] or `*' for both. */
static int
add_address(struct config_entry *l, enum service service)
{
	char host[INET6_ADDRSTRLEN + 2];
	const char *colon;
	size_t len;
	in_port_t port;

	colon = strrchr(l->words[1], ':');
	if (colon == NULL || (port = parse_port(colon + 1)) == 0)
		return config_wrong(l, "`%s' has no port", l->words[1]);
	len = (size_t)(colon - l->words[1]);
	if (len >= sizeof(host))
		return config_wrong(l, "`%s' is not an address", l->words[1]);
	memcpy(host, l->words[1], len);
	host[len] = '\0';
	if (strcmp(host, "*") == 0) {
		if (add_listener(l, service, AF_INET, "0.0.0.0", port) == -1)
			return -1;
		return add_listener(l, service, AF_INET6, "::", port);
	}
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		return add_listener(l, service, AF_INET6, host + 1, port);
	}
	return add_listener(l, service, AF_INET, host, port);
}

int
config_set_listen(struct config_entry *l)
{
	int i;

	if ((i = named_service(l)) == -1)
		return -1;
	if (l->count != 2)
		return config_wrong(l, "needs a service and one ADDRESS:PORT, "
		    "or lmtp and a path");
	if (config_is_first(l))
		l->config->listener_count = 0;
	return services[i].port == 0 ? add_socket(l, services[i].service) :
	    add_address(l, services[i].service);
}

int
config_set_inetd(struct config_entry *l)
{
	int i;

	if (l->count > 1)
		return config_one_value(l);
	if ((i = named_service(l)) == -1)
		return -1;
	l->config->inetd_service = services[i].service;
	return 0;
}

/* tls-certificate FILE: with tls-key the pair for all other names. */
static int
set_default_certificate(struct config_entry *l)
{
	struct config *c = l->config;

	if (!config_is_file(l, l->words[0]))
		return -1;
	if (!config_replaces(l, c->pair_set_by) &&
	    l->number != CONFIG_BY_OPTION)
		return config_wrong(l, "was set before, by line %u",
		    c->pair_set_by);
	strlcpy(c->tls_certificate, l->words[0], sizeof(c->tls_certificate));
	c->pair_set_by = l->number;
	return 0;
}

/* tls-certificate NAME FILE KEY. */
static int
add_certificate(struct config_entry *l)
{
	struct config *c = l->config;
	struct certificate *new;
	size_t i;

	if (!config_is_certificate_name(l->words[0]))
		return config_wrong(l, "`%s' is not a host name", l->words[0]);
	if (!config_is_file(l, l->words[1]) || !config_is_file(l, l->words[2]))
		return -1;
	if (config_replaces(l, c->names_set_by))
		c->certificate_count = 0;
	for (i = 0; i < c->certificate_count; i++)
		if (strcasecmp(c->certificates[i].name, l->words[0]) == 0)
			return config_wrong(l, "%s has a certificate already",
			    l->words[0]);
	if (c->certificate_count == CONFIG_CERTIFICATES_MAX)
		return config_wrong(l, "more than %d",
		    CONFIG_CERTIFICATES_MAX);
	new = &c->certificates[c->certificate_count++];
	strlcpy(new->name, l->words[0], sizeof(new->name));
	config_lower(new->name);
	strlcpy(new->file, l->words[1], sizeof(new->file));
	strlcpy(new->key, l->words[2], sizeof(new->key));
	c->names_set_by = l->number;
	return 0;
}

int
config_set_certificate(struct config_entry *l)
{
	if (l->count == 1)
		return set_default_certificate(l);
	if (l->count == 3)
		return add_certificate(l);
	return config_wrong(l, "needs a file, or a name, a file and its key");
}
