/*
 * config_table: the one table of the configuration's keywords, and what the
 * files that make config.h true share: config.c (defaults, in every process),
 * config_pass.c and config_pass_relay.c (master to roles, in every process),
 * config_file.c, config_secrets.c, config_parse.c, config_set.c,
 * config_listen.c and config_relay.c (master only).  Nobody else includes this.
 */
#ifndef PRIVSEP_CONFIG_TABLE_H
#define PRIVSEP_CONFIG_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define CONFIG_LINE_MAX		1024	/* octets without the LF */
#define CONFIG_WORDS_MAX	300	/* on one line */
#define CONFIG_FILE_MAX		(1024 * 1024)
#define CONFIG_PASS_MAX		(256 * 1024)	/* an encoded configuration */

/* What a value is: says how it is parsed, sent and checked on arrival. */
enum config_kind {
	KIND_HOSTNAME,		/* char[], lower case */
	KIND_DOMAINS,		/* char[][HOSTNAME_MAX] */
	KIND_LISTEN,		/* struct listener[] */
	KIND_CERTIFICATE,	/* tls_certificate, or certificates[] */
	KIND_PLAINTEXT,		/* enum plaintext_login */
	KIND_INETD,		/* enum service */
	KIND_MAILBOX,		/* mailbox_format and mailbox_path */
	KIND_PATH,		/* char[CONFIG_PATH_MAX], absolute */
	KIND_SIZE,		/* uint64_t, octets */
	KIND_NETWORKS,		/* struct network[] */
	KIND_SCHEDULE,		/* uint32_t[], seconds */
	KIND_DURATION,		/* uint32_t, seconds */
	KIND_NUMBER,		/* uint32_t */
	KIND_DAYS,		/* uint32_t, 0: never */
	KIND_USER,		/* struct account_ids */
	KIND_SERVICE,		/* char[64], the name of a PAM service */
	KIND_OPTIONAL,		/* char[CONFIG_PATH_MAX], "" none */
	KIND_COMMAND_USER,	/* struct account_ids, name "" none */
	KIND_DNS,		/* struct dns_server[] */
	KIND_REMOTE,		/* struct remote, host "" none */
	KIND_ROUTES,		/* struct mail_route[] */
	KIND_RELAY_TLS,		/* struct relay_tls_rule[] */
	KIND_RELAY_AUTH,	/* a path here, struct relay_auth[] elsewhere */
	KIND_SRS_DOMAIN,	/* char[HOSTNAME_MAX], lower case, "" none */
	KIND_SRS_SECRET,	/* a path here, srs_secrets elsewhere */
	KIND_PATTERNS,		/* char[][HOSTNAME_MAX], "." may lead */
	KIND_FAMILY,		/* enum relay_family */
	KIND_SOURCES,		/* struct network[], one of each family */
	KIND_DELIMITER,		/* char, '\0' none */
	KIND_SWITCH,		/* uint32_t, 1: yes */
	KIND_COUNT
};

/* Roles that get the field; the master has all of them. */
#define TO(role)	(1U << (role))
#define TO_NONE		0U

struct config_field {
	const char		*keyword;
	enum config_kind	 kind;
	uint32_t		 roles;		/* TO() bits */
	size_t			 offset;	/* in struct config */
	size_t			 count_offset;	/* of a list's size_t */
	uint64_t		 min, max;	/* of a number, inclusive */
	int			 repeats;	/* may stand on several lines */
};

extern const struct config_field config_fields[];
extern const size_t config_field_count;

/* The place of a field's value. */
#define FIELD_AT(type, config, field) \
	((type *)(void *)((char *)(config) + (field)->offset))
#define FIELD_CONST(type, config, field) \
	((const type *)(const void *)((const char *)(config) + (field)->offset))

typedef char config_name[HOSTNAME_MAX];

/* Defaults that ask nothing of the system: the host is "localhost". */
void	config_default_fixed(struct config *);
/* The listeners of a configuration without `listen'. */
void	config_default_listeners(struct config *);
/* Domains of a configuration without `domains'. */
void	config_default_domains(struct config *);

/* Letters, digits, '-', '_' in labels of 1 to 63, no final dot. */
int	config_is_hostname(const char *);
/* A host name, or "*." and one. */
int	config_is_certificate_name(const char *);
/* An account name that no tool will take for an option or a path. */
int	config_is_account(const char *);
/* Absolute and without a ".." in it. */
int	config_is_path(const char *);
/* Below "~/", or absolute with "%u": no two users may share a mailbox. */
int	config_is_mailbox_path(const char *);
/* A PAM service's name: a file name without anything odd. */
int	config_is_service(const char *);
/* A host name, or "." and one for all that are below it. */
int	config_is_pattern(const char *);
/* A path that fits in a Unix socket's address. */
int	config_is_socket_path(const char *);
#define CONFIG_DELIMITERS	"+-_="
int	config_is_delimiter(char);
/* A uid or gid that a role may become: neither root's nor -1. */
int	config_is_service_id(uint32_t);

/* "127.0.0.0/8" and "::1", the networks of the word `loopback'. */
extern const struct network config_loopback[2];

/* The accounts, which must all be different, and their keywords. */
#define CONFIG_ACCOUNTS	6
const char *const *config_accounts(const struct config *,
	    const struct account_ids *users[CONFIG_ACCOUNTS]);

/* One line on its way into the configuration. */
struct config_entry {
	struct config			*config;
	const struct config_field	*field;	/* NULL: keyword not known */
	char				 text[CONFIG_LINE_MAX + 1];
	const char			*words[CONFIG_WORDS_MAX]; /* values */
	size_t				 count;	/* of words */
	const char			*where;	/* "FILE:LINE" or "-o" */
	uint32_t			 number;	/* as in set_by */
	config_report			 report;
};

#define CONFIG_BY_OPTION	UINT32_MAX	/* in set_by: by -o */

/* Report "where: keyword: text"; always -1. */
int	config_wrong(const struct config_entry *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));
/* Digits only, at most 19 of them, so that 64 bits hold it; 0 or -1. */
int	config_digits(const char *, size_t len, uint64_t *);
/* Exactly one word; else -1, reported. */
int	config_one_value(const struct config_entry *);
/*
 * Does this line take the place of what was set by another one?  Options
 * replace what the file said, and then add up.
 */
int	config_replaces(const struct config_entry *, uint32_t before);
/* Is this the first line of a list, so that the default must go? */
int	config_is_first(const struct config_entry *);
/* A path as config_is_path() wants it; else reported. */
int	config_is_file(const struct config_entry *, const char *);
void	config_lower(char *);
/* The setters of config_listen.c. */
int	config_set_listen(struct config_entry *);
int	config_set_inetd(struct config_entry *);
int	config_set_certificate(struct config_entry *);
/* The setters of config_relay.c. */
int	config_set_dns(struct config_entry *);
int	config_set_remote(struct config_entry *);
int	config_set_route(struct config_entry *);
int	config_set_relay_tls(struct config_entry *);
int	config_set_srs_domain(struct config_entry *);
int	config_set_patterns(struct config_entry *);
int	config_set_family(struct config_entry *);
int	config_set_sources(struct config_entry *);
int	config_set_delimiter(struct config_entry *);
/* What stores the words of a line, by kind; 0, or -1 reported. */
extern int (*const config_setters[KIND_COUNT])(struct config_entry *);

/* Parse a whole file's text; 0, or -1 after every mistake was reported. */
int	config_parse(struct config *, const char *text, size_t len,
	    const char *path, config_report);

/*
 * The octets of a sealed memfd.  Encode returns their number, or -1 with
 * errno; decode returns 0, or -1 when any octet is not as encode makes it.
 */
ssize_t	config_encode(const struct config *, enum role, uint8_t *, size_t);
int	config_decode(const uint8_t *, size_t, enum role, struct config *);

#endif
