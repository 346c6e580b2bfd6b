/*
 * config: /etc/postern/postern.conf as a structure (postern.conf(5)).
 *
 * The master parses it once; every other role gets a sealed memfd that holds
 * only the fields that the role needs (the table in config.c says which), and
 * decodes it with config_receive().  Fields that a role does not get keep
 * their defaults, names of users and files are empty.
 */
#ifndef PRIVSEP_CONFIG_H
#define PRIVSEP_CONFIG_H

#include <sys/socket.h>
#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "facts.h"

#define CONFIG_PATH_MAX		1024
#define CONFIG_DOMAINS_MAX	256
#define CONFIG_LISTEN_MAX	64
#define CONFIG_NETWORKS_MAX	256
#define CONFIG_RETRY_MAX	32
#define CONFIG_KEYWORDS_MAX	64
#define CONFIG_CERTIFICATES_MAX	32	/* besides the default one */
#define CONFIG_DNS_MAX		8
#define CONFIG_ROUTES_MAX	128
#define CONFIG_RELAY_TLS_MAX	128
#define CONFIG_RELAY_AUTH_MAX	32
#define CONFIG_RELAY_DOMAINS_MAX 256
#define CONFIG_SOURCES_MAX	2	/* one of each family */
#define CONFIG_RECIPIENTS_MAX	1000	/* of a message */
#define CONFIG_USER_MAX		256	/* of relay-auth, with their NUL */
#define CONFIG_SECRET_MAX	512
#define CONFIG_SRS_SECRETS_MAX	8
#define CONFIG_SRS_SECRET_MIN	16	/* octets, so that it is one */
#define HOSTNAME_MAX		256	/* with its NUL */

enum mailbox_format {
	MAILBOX_MAILDIR,
	MAILBOX_MBOX
};

enum plaintext_login {
	PLAINTEXT_NEVER,
	PLAINTEXT_LOOPBACK,
	PLAINTEXT_ALWAYS
};

struct listener {
	enum service		 service;
	struct sockaddr_storage	 address;
	socklen_t		 address_len;
	char			 text[128];	/* as written, for messages */
};

struct network {
	int	family;			/* AF_INET or AF_INET6 */
	uint8_t	address[16];		/* network order */
	uint8_t	prefix;			/* bits */
};

struct certificate {
	char	name[HOSTNAME_MAX];		/* SNI, "*." may lead */
	char	file[CONFIG_PATH_MAX];		/* PEM, leaf first */
	char	key[CONFIG_PATH_MAX];		/* PEM */
};

/* A name server. */
struct dns_server {
	char		address[46];	/* numeric, IPv4 or IPv6 */
	uint16_t	port;
};

enum remote_protocol {
	REMOTE_SMTP,
	REMOTE_LMTP,
	REMOTE_LMTP_SOCKET	/* host is the path of a Unix socket */
};

/* A host that mail is given to whatever the DNS says: no MX is looked up. */
struct remote {
	enum remote_protocol protocol;
	char		host[HOSTNAME_MAX];	/* name, lower case, or numeric
						 * address without brackets */
	uint16_t	port;
};

struct mail_route {
	char		domain[HOSTNAME_MAX];	/* "example.org" alone, or
						 * ".example.org": all below */
	struct remote	to;
};

enum relay_tls {
	RELAY_TLS_NONE,
	RELAY_TLS_MAY,		/* if it is offered; not verified */
	RELAY_TLS_ENCRYPT,	/* or not at all; not verified */
	RELAY_TLS_VERIFY	/* and the certificate must be the host's */
};

struct relay_tls_rule {
	char		domain[HOSTNAME_MAX];	/* as a route's; "*" all others */
	enum relay_tls	tls;
};

/* What a line of the relay-auth file says: for one host only. */
struct relay_auth {
	char	host[HOSTNAME_MAX];	/* as relay-host or route names it */
	char	user[CONFIG_USER_MAX];
	char	secret[CONFIG_SECRET_MAX];
};

enum relay_family {
	RELAY_BOTH,
	RELAY_IPV4,
	RELAY_IPV6
};

struct account_ids {
	char	name[64];
	uid_t	uid;			/* by config_resolve() */
	gid_t	gid;
};

struct config {
	char			hostname[HOSTNAME_MAX];
	char			domains[CONFIG_DOMAINS_MAX][HOSTNAME_MAX];
	size_t			domain_count;
	struct listener		listeners[CONFIG_LISTEN_MAX];
	size_t			listener_count;
	char			tls_certificate[CONFIG_PATH_MAX]; /* default */
	char			tls_key[CONFIG_PATH_MAX];
	struct certificate	certificates[CONFIG_CERTIFICATES_MAX];
	size_t			certificate_count;
	enum plaintext_login	plaintext_login;
	enum service		inetd_service;	/* of fd 0; 0: by its port */
	enum mailbox_format	mailbox_format;
	char			mailbox_path[CONFIG_PATH_MAX]; /* "~/Maildir" */
	char			aliases[CONFIG_PATH_MAX];
	uint64_t		message_size_limit;	/* octets, CR LF ends */
	struct network		trusted_networks[CONFIG_NETWORKS_MAX];
	size_t			trusted_network_count;
	struct network		limits_exempt[CONFIG_NETWORKS_MAX];
	size_t			limits_exempt_count;
	uint32_t		retry_schedule[CONFIG_RETRY_MAX]; /* seconds */
	size_t			retry_count;
	uint32_t		give_up_after;		/* seconds */
	uint32_t		delay_notice;		/* seconds, 0: none */
	struct dns_server	dns_servers[CONFIG_DNS_MAX]; /* 0: system's */
	size_t			dns_server_count;
	struct remote		relay_host;	/* host "": none */
	char			relay_auth_file[CONFIG_PATH_MAX]; /* "" none */
	struct relay_auth	relay_auths[CONFIG_RELAY_AUTH_MAX];
	size_t			relay_auth_count;	/* by
						 * config_read_secrets() */
	struct relay_tls_rule	relay_tls[CONFIG_RELAY_TLS_MAX];
	size_t			relay_tls_count;
	struct mail_route	routes[CONFIG_ROUTES_MAX];
	size_t			route_count;
	char			relay_domains[CONFIG_RELAY_DOMAINS_MAX]
				    [HOSTNAME_MAX];	/* as a route's */
	size_t			relay_domain_count;
	char			relay_recipients[CONFIG_PATH_MAX]; /* "" all */
	char			srs_domain[HOSTNAME_MAX];	/* "" none */
	char			srs_secret_file[CONFIG_PATH_MAX]; /* the same */
	char			srs_secrets[CONFIG_SRS_SECRETS_MAX]
				    [CONFIG_SECRET_MAX];	/* the first
				 * signs; by config_read_secrets() */
	size_t			srs_secret_count;
	enum relay_family	relay_family;
	struct network		relay_sources[CONFIG_SOURCES_MAX];
	size_t			relay_source_count;
	uint32_t		relay_timeout;		/* seconds */
	char			domain_map[CONFIG_PATH_MAX]; /* "" none */
	char			recipient_delimiter;	/* '\0' none */
	uint32_t		client_names;		/* 1: looked up */
	uint32_t		max_recipients;		/* of a message */
	uint32_t		max_messages;		/* of a session */
	uint32_t		max_errors;		/* of a session */
	uint32_t		max_sessions;
	uint32_t		max_sessions_per_source;
	uint32_t		rate_per_source;	/* sessions a minute, 0:
							 * no limit */
	uint32_t		login_timeout;		/* seconds */
	uint32_t		idle_timeout;		/* seconds */
	uint32_t		prefork;		/* waiting workers */
	uint32_t		expire;			/* days, 0: never */
	uint32_t		login_delay;		/* seconds, 0: none */
	uint32_t		login_min_uid;
	struct account_ids	worker_user;
	struct account_ids	queue_user;
	struct account_ids	relay_user;
	struct account_ids	resolver_user;
	struct account_ids	key_user;
	struct account_ids	command_user;	/* name "": none */
	uint32_t		forward_commands;	/* 1: in ~/.forward */
	uint32_t		command_timeout;	/* seconds */
	char			run_dir[CONFIG_PATH_MAX];
	char			spool_dir[CONFIG_PATH_MAX];
	char			libexec_dir[CONFIG_PATH_MAX];
	char			pam_service[64];
	char			pam_confdir[CONFIG_PATH_MAX]; /* "" system's */
	/* The parser's own: the line that set each keyword, 0 for none. */
	uint32_t		set_by[CONFIG_KEYWORDS_MAX];
	uint32_t		pair_set_by;	/* tls-certificate FILE */
	uint32_t		names_set_by;	/* tls-certificate NAME ... */
};

enum role {
	ROLE_SPAWNER,
	ROLE_LOGIN,
	ROLE_AGENTS,
	ROLE_QUEUE,
	ROLE_SIGNER,
	ROLE_RELAY,
	ROLE_RESOLVER,
	ROLE_PROGRAMS
};
#define ROLE_LAST	ROLE_PROGRAMS

/* Where a mistake is told of: "FILE:LINE: text" without a newline. */
typedef void (*config_report)(const char *text);

/* All defaults, with the system's host name. */
void	config_default(struct config *);

/*
 * Read a file on top of the defaults.  0, or -1 after every mistake was
 * reported.  A file (or a directory above it) that somebody else than root or
 * the caller may write is refused (C24).  A missing file is an error unless
 * optional.
 */
int	config_read(struct config *, const char *path, int optional,
	    config_report);
/*
 * Open a file for reading that nobody but root and we can change: by itself,
 * by a directory above it, or by a link on the way.  -1 with errno: EPERM if
 * somebody could.
 */
int	config_open(const char *path);
/*
 * The parser proper, one line; where is "FILE:LINE", or "-o" for an option,
 * which overrides the file and so comes after it.
 */
int	config_line(struct config *, const char *line, const char *where,
	    config_report);
/* After the last line: defaults that depend on others, contradictions. */
int	config_finish(struct config *, config_report);
/*
 * Fill in uid and gid of the users above, those of relay and resolver only if
 * mail is sent; 0 or -1, reported.
 */
int	config_resolve(struct config *, int sends_mail, config_report);
/*
 * Read the files that relay-auth and srs-secret name, if there are any:
 * relay_auths, srs_secrets.  Root's (or ours) alone, with no right for anybody
 * else, or it is refused.  0 or -1, reported.
 */
int	config_read_secrets(struct config *, config_report);
/* Wipe what that read, before the structure is freed or changed. */
void	config_forget_secrets(struct config *);

/* A sealed memfd with what the role may know; -1 with errno. */
int	config_send(const struct config *, enum role);
/* Decode it; 0, or -1 when it is not one. */
int	config_receive(int memfd, enum role, struct config *);

/* Is this domain (any case, no trailing dot) one of the local ones? */
int	config_is_local_domain(const struct config *, const char *domain);
/* Is this domain one of relay-domains, or below one that stands for all? */
int	config_is_relay_domain(const struct config *, const char *domain);
/* Is it srs-domain? */
int	config_is_srs_domain(const struct config *, const char *domain);
/*
 * The route of a domain: its own, or the longest ".domain" that it is below,
 * or relay-host; NULL: what the DNS says.  *is_named: it has a route of its
 * own (and so the administrator's word for the addresses that are behind it).
 */
const struct remote *config_route(const struct config *, const char *domain,
	    int *is_named);
/* The same for relay-tls; "*" is for all others, and may without that. */
enum relay_tls config_relay_tls(const struct config *, const char *domain);
/* Who we are for that host; NULL: nobody. */
const struct relay_auth *config_relay_auth(const struct config *,
	    const char *host);
/* May anything be run for mail at all? */
static inline int
config_runs_commands(const struct config *c)
{
	return c->forward_commands || c->command_user.name[0] != '\0';
}
/* Is the address inside one of the networks? (v4-mapped counts as v4) */
int	network_contains(const struct network *, size_t count,
	    const struct sockaddr *);

#endif
