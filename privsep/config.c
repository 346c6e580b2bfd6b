/*
 * config: the table of keywords, their defaults, and the small questions that
 * are asked of a configuration.
 *
 * Runs in every process, root or not, and touches memory only;
 * config_default(), which the master alone calls, asks for the host's name.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "config_table.h"

#define AT(member)	offsetof(struct config, member)
#define LIST(member, n)	.offset = AT(member), .count_offset = AT(n)

#define SPAWNER		TO(ROLE_SPAWNER)
#define LOGIN		TO(ROLE_LOGIN)
#define AGENTS		TO(ROLE_AGENTS)
#define QUEUE		TO(ROLE_QUEUE)
#define SIGNER		TO(ROLE_SIGNER)
#define RELAY		TO(ROLE_RELAY)
#define RESOLVER	TO(ROLE_RESOLVER)
#define PROGRAMS	TO(ROLE_PROGRAMS)

/*
 * In the order of postern.conf(5).  A role gets what it needs to do its work
 * and nothing else: no worker knows the spool, no agent the PAM service, and
 * nobody where a key is: certificates and keys come in a keyring of their own.
 */
const struct config_field config_fields[] = {
	{ .keyword = "hostname", KIND_HOSTNAME,
	    SPAWNER | LOGIN | AGENTS | QUEUE | PROGRAMS, AT(hostname) },
	{ .keyword = "domains", KIND_DOMAINS,
	    LOGIN | AGENTS | QUEUE | PROGRAMS,
	    LIST(domains, domain_count), .repeats = 1 },
	{ .keyword = "listen", KIND_LISTEN, QUEUE,
	    LIST(listeners, listener_count), .repeats = 1 },
	{ .keyword = "inetd-service", KIND_INETD, TO_NONE,
	    AT(inetd_service) },
	{ .keyword = "tls-certificate", KIND_CERTIFICATE, TO_NONE,
	    LIST(certificates, certificate_count), .repeats = 1 },
	{ .keyword = "tls-key", KIND_PATH, TO_NONE, AT(tls_key) },
	{ .keyword = "plaintext-login", KIND_PLAINTEXT, TO_NONE,
	    AT(plaintext_login) },
	{ .keyword = "mailbox", KIND_MAILBOX, AGENTS, AT(mailbox_path) },
	{ .keyword = "expire", KIND_DAYS, SPAWNER | AGENTS, AT(expire),
	    .max = 36500 },
	{ .keyword = "login-delay", KIND_DURATION, SPAWNER | AGENTS,
	    AT(login_delay), .max = 86400 },
	{ .keyword = "aliases", KIND_PATH, AGENTS | QUEUE | PROGRAMS,
	    AT(aliases) },
	{ .keyword = "message-size-limit", KIND_SIZE, SPAWNER | AGENTS,
	    AT(message_size_limit), .min = 1024, .max = 1ULL << 40 },
	{ .keyword = "trusted-networks", KIND_NETWORKS, TO_NONE,
	    LIST(trusted_networks, trusted_network_count), .repeats = 1 },
	{ .keyword = "limits-exempt", KIND_NETWORKS, TO_NONE,
	    LIST(limits_exempt, limits_exempt_count), .repeats = 1 },
	{ .keyword = "retry-schedule", KIND_SCHEDULE, QUEUE,
	    LIST(retry_schedule, retry_count), .min = 1, .max = 7 * 86400 },
	{ .keyword = "give-up-after", KIND_DURATION, QUEUE,
	    AT(give_up_after), .min = 1, .max = 60 * 86400 },
	{ .keyword = "delay-notice", KIND_DURATION, QUEUE,
	    AT(delay_notice), .max = 60 * 86400 },
	{ .keyword = "domain-map", KIND_OPTIONAL, AGENTS | QUEUE,
	    AT(domain_map) },
	{ .keyword = "recipient-delimiter", KIND_DELIMITER,
	    LOGIN | AGENTS | QUEUE | PROGRAMS, AT(recipient_delimiter) },
	{ .keyword = "client-names", KIND_SWITCH, AGENTS | RESOLVER,
	    AT(client_names), .max = 1 },
	{ .keyword = "relay-host", KIND_REMOTE, QUEUE, AT(relay_host) },
	{ .keyword = "route", KIND_ROUTES, QUEUE, LIST(routes, route_count),
	    .repeats = 1 },
	{ .keyword = "relay-auth", KIND_RELAY_AUTH, QUEUE,
	    AT(relay_auth_file) },
	{ .keyword = "srs-domain", KIND_SRS_DOMAIN, AGENTS | QUEUE,
	    AT(srs_domain) },
	{ .keyword = "srs-secret", KIND_SRS_SECRET, AGENTS | QUEUE,
	    AT(srs_secret_file) },
	{ .keyword = "relay-tls", KIND_RELAY_TLS, QUEUE,
	    LIST(relay_tls, relay_tls_count), .repeats = 1 },
	{ .keyword = "relay-family", KIND_FAMILY, QUEUE, AT(relay_family) },
	{ .keyword = "relay-source", KIND_SOURCES, QUEUE,
	    LIST(relay_sources, relay_source_count), .repeats = 1 },
	{ .keyword = "relay-timeout", KIND_DURATION, QUEUE | RELAY,
	    AT(relay_timeout), .min = 1, .max = 3600 },
	{ .keyword = "dns-server", KIND_DNS, RESOLVER,
	    LIST(dns_servers, dns_server_count), .repeats = 1 },
	{ .keyword = "relay-domains", KIND_PATTERNS, AGENTS,
	    LIST(relay_domains, relay_domain_count), .repeats = 1 },
	{ .keyword = "relay-recipients", KIND_OPTIONAL, AGENTS | QUEUE,
	    AT(relay_recipients) },
	{ .keyword = "max-sessions", KIND_NUMBER, TO_NONE,
	    AT(max_sessions), .min = 1, .max = 20000 },
	{ .keyword = "max-sessions-per-source", KIND_NUMBER, TO_NONE,
	    AT(max_sessions_per_source), .min = 1, .max = 20000 },
	{ .keyword = "rate-per-source", KIND_NUMBER, TO_NONE,
	    AT(rate_per_source), .max = 1000000 },
	{ .keyword = "max-messages", KIND_NUMBER, SPAWNER | AGENTS,
	    AT(max_messages), .min = 1, .max = 1000000 },
	{ .keyword = "max-recipients", KIND_NUMBER, AGENTS,
	    AT(max_recipients), .min = 1, .max = CONFIG_RECIPIENTS_MAX },
	{ .keyword = "max-errors", KIND_NUMBER, SPAWNER, AT(max_errors),
	    .min = 1, .max = 10000 },
	{ .keyword = "login-timeout", KIND_DURATION,
	    SPAWNER | LOGIN | SIGNER,
	    AT(login_timeout), .min = 1, .max = 3600 },
	{ .keyword = "idle-timeout", KIND_DURATION, SPAWNER | LOGIN | AGENTS,
	    AT(idle_timeout), .min = 1, .max = 86400 },
	{ .keyword = "prefork", KIND_NUMBER, SPAWNER, AT(prefork),
	    .min = 1, .max = 1000 },
	{ .keyword = "login-min-uid", KIND_NUMBER,
	    LOGIN | AGENTS | PROGRAMS, AT(login_min_uid), .min = 1,
	    .max = INT32_MAX },
	{ .keyword = "worker-user", KIND_USER, SPAWNER, AT(worker_user) },
	{ .keyword = "queue-user", KIND_USER, LOGIN | AGENTS | QUEUE,
	    AT(queue_user) },
	{ .keyword = "key-user", KIND_USER, SIGNER, AT(key_user) },
	{ .keyword = "relay-user", KIND_USER, RELAY, AT(relay_user) },
	{ .keyword = "resolver-user", KIND_USER, RESOLVER,
	    AT(resolver_user) },
	{ .keyword = "command-user", KIND_COMMAND_USER,
	    LOGIN | QUEUE | PROGRAMS, AT(command_user) },
	{ .keyword = "forward-commands", KIND_SWITCH,
	    LOGIN | AGENTS | PROGRAMS | QUEUE, AT(forward_commands), .max = 1 },
	{ .keyword = "command-timeout", KIND_DURATION, QUEUE | PROGRAMS,
	    AT(command_timeout), .min = 1, .max = 86400 },
	{ .keyword = "run-dir", KIND_PATH, SPAWNER | RELAY | RESOLVER,
	    AT(run_dir) },
	{ .keyword = "spool-dir", KIND_PATH, AGENTS | QUEUE, AT(spool_dir) },
	{ .keyword = "libexec-dir", KIND_PATH, TO_NONE, AT(libexec_dir) },
	{ .keyword = "pam-service", KIND_SERVICE, LOGIN, AT(pam_service) },
	{ .keyword = "pam-confdir", KIND_PATH, LOGIN, AT(pam_confdir) },
};
const size_t config_field_count =
    sizeof(config_fields) / sizeof(config_fields[0]);
_Static_assert(sizeof(config_fields) / sizeof(config_fields[0]) <=
    CONFIG_KEYWORDS_MAX, "set_by has a place for each keyword");

const struct network config_loopback[2] = {
	{ AF_INET, { 127 }, 8 },
	{ AF_INET6, { [15] = 1 }, 128 },
};

static const uint32_t default_schedule[] = {
	60, 5 * 60, 15 * 60, 3600, 2 * 3600, 4 * 3600
};

static void
set_string(char *dst, const char *src, size_t size)
{
	/* Compiled-in paths: one too long becomes none, which can't start. */
	if (strlcpy(dst, src, size) >= size)
		dst[0] = '\0';
}

/* Any address of this host, in both families. */
static void
add_any(struct config *c, enum service service, in_port_t port)
{
	struct listener *l;
	struct sockaddr_in in = { .sin_family = AF_INET,
	    .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
	    .sin6_port = htons(port) };

	l = &c->listeners[c->listener_count++];
	l->service = service;
	memcpy(&l->address, &in, sizeof(in));
	l->address_len = sizeof(in);
	snprintf(l->text, sizeof(l->text), "*:%u", (unsigned int)port);

	l = &c->listeners[c->listener_count++];
	l->service = service;
	memcpy(&l->address, &in6, sizeof(in6));
	l->address_len = sizeof(in6);
	snprintf(l->text, sizeof(l->text), "*:%u", (unsigned int)port);
}

void
config_default_listeners(struct config *c)
{
	memset(c->listeners, 0, sizeof(c->listeners));
	c->listener_count = 0;
	add_any(c, SERVICE_POP3, 110);
	add_any(c, SERVICE_POP3S, 995);
	add_any(c, SERVICE_SMTP, 25);
	add_any(c, SERVICE_SUBMISSION, 587);
	add_any(c, SERVICE_SUBMISSIONS, 465);
}

void
config_default_domains(struct config *c)
{
	memset(c->domains, 0, sizeof(c->domains));
	set_string(c->domains[0], c->hostname, HOSTNAME_MAX);
	c->domain_count = 1;
	if (strcmp(c->hostname, "localhost") != 0)
		set_string(c->domains[c->domain_count++], "localhost",
		    HOSTNAME_MAX);
}

const char *const *
config_accounts(const struct config *c,
    const struct account_ids *users[CONFIG_ACCOUNTS])
{
	static const char *const keywords[CONFIG_ACCOUNTS] = {
		"worker-user", "queue-user", "key-user", "relay-user",
		"resolver-user", "command-user"
	};
	const struct account_ids *const all[CONFIG_ACCOUNTS] = {
		&c->worker_user, &c->queue_user, &c->key_user, &c->relay_user,
		&c->resolver_user, &c->command_user
	};

	memcpy(users, all, sizeof(all));
	return keywords;
}

static void
default_user(struct account_ids *user, const char *name)
{
	set_string(user->name, name, sizeof(user->name));
	/* Never 0: a role that forgot to resolve must not stay root. */
	user->uid = (uid_t)-1;
	user->gid = (gid_t)-1;
}

void
config_default_fixed(struct config *c)
{
	memset(c, 0, sizeof(*c));
	set_string(c->hostname, "localhost", sizeof(c->hostname));
	config_default_domains(c);
	config_default_listeners(c);
	set_string(c->tls_certificate, SYSCONFDIR "/postern/tls/cert.pem",
	    sizeof(c->tls_certificate));
	set_string(c->tls_key, SYSCONFDIR "/postern/tls/key.pem",
	    sizeof(c->tls_key));
	c->plaintext_login = PLAINTEXT_LOOPBACK;
	c->mailbox_format = MAILBOX_MAILDIR;
	set_string(c->mailbox_path, "~/Maildir", sizeof(c->mailbox_path));
	set_string(c->aliases, "/etc/aliases", sizeof(c->aliases));
	c->message_size_limit = 50ULL << 20;
	memcpy(c->trusted_networks, config_loopback, sizeof(config_loopback));
	c->trusted_network_count = 2;
	memcpy(c->retry_schedule, default_schedule, sizeof(default_schedule));
	c->retry_count = sizeof(default_schedule) / sizeof(default_schedule[0]);
	c->give_up_after = 5 * 86400;
	c->delay_notice = 4 * 3600;
	c->relay_timeout = 300;
	c->recipient_delimiter = '+';
	c->client_names = 1;
	c->max_recipients = CONFIG_RECIPIENTS_MAX;
	c->max_messages = 100;
	c->max_errors = 20;
	c->max_sessions = 1000;
	c->max_sessions_per_source = 100;
	c->login_timeout = 60;
	c->idle_timeout = 600;
	c->prefork = 8;
	c->forward_commands = 1;
	c->command_timeout = 1000;
	c->login_min_uid = 1000;
	default_user(&c->worker_user, "_postern");
	default_user(&c->queue_user, "_posternq");
	default_user(&c->relay_user, "_posternr");
	default_user(&c->resolver_user, "_posternd");
	default_user(&c->key_user, "_posternk");
	default_user(&c->command_user, "");
	set_string(c->run_dir, RUNDIR, sizeof(c->run_dir));
	set_string(c->spool_dir, LOCALSTATEDIR "/spool/postern",
	    sizeof(c->spool_dir));
	set_string(c->libexec_dir, LIBEXECDIR, sizeof(c->libexec_dir));
	set_string(c->pam_service, "postern", sizeof(c->pam_service));
}

void
config_default(struct config *c)
{
	char name[HOSTNAME_MAX];
	size_t i;

	config_default_fixed(c);
	/* The system's name as it is: asking DNS could hang the start. */
	if (gethostname(name, sizeof(name)) == -1)
		return;
	name[sizeof(name) - 1] = '\0';
	if (!config_is_hostname(name))
		return;
	for (i = 0; name[i] != '\0'; i++)
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] = (char)(name[i] - 'A' + 'a');
	set_string(c->hostname, name, sizeof(c->hostname));
	config_default_domains(c);
}

static int
is_alnum(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
	    (ch >= '0' && ch <= '9');
}

int
config_is_hostname(const char *name)
{
	size_t i, label = 0;

	for (i = 0; name[i] != '\0'; i++) {
		if (name[i] == '.') {
			if (label == 0 || name[i - 1] == '-')
				return 0;
			label = 0;
			continue;
		}
		if (!is_alnum(name[i]) && name[i] != '_' &&
		    (name[i] != '-' || label == 0))
			return 0;
		if (++label > 63)
			return 0;
	}
	return label > 0 && name[i - 1] != '-' && i < HOSTNAME_MAX;
}

int
config_is_account(const char *name)
{
	size_t i;

	if (!is_alnum(name[0]) && name[0] != '_')
		return 0;
	for (i = 1; name[i] != '\0'; i++)
		if (!is_alnum(name[i]) && strchr("_-.", name[i]) == NULL)
			return 0;
	return i < sizeof(((struct account_ids *)0)->name);
}

int
config_is_service(const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++)
		if (!is_alnum(name[i]) && strchr("_-.", name[i]) == NULL)
			return 0;
	return i > 0 && name[0] != '.' && name[0] != '-' &&
	    i < sizeof(((struct config *)0)->pam_service);
}

int
config_is_pattern(const char *name)
{
	return config_is_hostname(name[0] == '.' ? name + 1 : name) &&
	    strlen(name) < HOSTNAME_MAX;
}

int
config_is_delimiter(char ch)
{
	return ch != '\0' && strchr(CONFIG_DELIMITERS, ch) != NULL;
}

int
config_is_service_id(uint32_t id)
{
	/* 0 is root; -1 tells setresuid() to leave things as they are. */
	return id != 0 && id != UINT32_MAX;
}

int
config_is_certificate_name(const char *name)
{
	return config_is_hostname(strncmp(name, "*.", 2) == 0 ? name + 2 :
	    name);
}

/* No control characters, and it doesn't go up anywhere. */
static int
is_plain(const char *path)
{
	const char *p;

	for (p = path; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			return 0;
	p = path;
	while ((p = strstr(p, "..")) != NULL) {
		if ((p == path || p[-1] == '/') &&
		    (p[2] == '/' || p[2] == '\0'))
			return 0;
		p += 2;
	}
	return 1;
}

int
config_is_path(const char *path)
{
	return path[0] == '/' && strlen(path) < CONFIG_PATH_MAX &&
	    is_plain(path);
}

int
config_is_socket_path(const char *path)
{
	return config_is_path(path) && path[strlen(path) - 1] != '/' &&
	    strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path);
}

int
config_is_mailbox_path(const char *path)
{
	const char *p;
	size_t users = 0;

	for (p = path; (p = strchr(p, '%')) != NULL; p += 2, users++)
		if (p[1] != 'u')
			return 0;
	if (strlen(path) >= CONFIG_PATH_MAX || !is_plain(path))
		return 0;
	if (strncmp(path, "~/", 2) == 0)
		return path[2] != '\0' && path[2] != '/';
	return path[0] == '/' && users > 0;
}

int
config_is_local_domain(const struct config *c, const char *domain)
{
	size_t i;

	for (i = 0; i < c->domain_count; i++)
		if (strcasecmp(c->domains[i], domain) == 0)
			return 1;
	return 0;
}

static int
has_prefix(const uint8_t *address, const struct network *network)
{
	size_t whole = network->prefix / 8;
	unsigned int rest = network->prefix % 8;

	if (memcmp(address, network->address, whole) != 0)
		return 0;
	if (rest == 0)
		return 1;
	return ((address[whole] ^ network->address[whole]) >> (8 - rest)) == 0;
}

int
network_contains(const struct network *networks, size_t count,
    const struct sockaddr *sa)
{
	uint8_t address[16];
	int family = sa->sa_family;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	size_t i;

	if (family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		memcpy(address, &in.sin_addr, 4);
	} else if (family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		memcpy(address, &in6.sin6_addr, 16);
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
			family = AF_INET;
			memmove(address, address + 12, 4);
		}
	} else
		return 0;
	for (i = 0; i < count; i++)
		if (networks[i].family == family &&
		    has_prefix(address, &networks[i]))
			return 1;
	return 0;
}
