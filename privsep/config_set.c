/*
 * config_set: one setter for each kind of value that postern.conf can hold.
 *
 * Runs in the master only, as root, as part of config_parse.c.  A setter gets
 * the words of one line, stores what they mean, or reports what is wrong with
 * them.  Touches memory only.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string.h>

#include "config.h"
#include "config_table.h"

struct unit {
	char		letter;
	uint64_t	factor;
};
static const struct unit time_units[] = {
	{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { '\0', 0 }
};
static const struct unit size_units[] = {
	{ 'K', 1 << 10 }, { 'M', 1 << 20 }, { 'G', 1 << 30 }, { '\0', 0 }
};
static const struct unit day_units[] = {
	{ 'd', 1 }, { '\0', 0 }
};
static const struct unit no_units[] = {
	{ '\0', 0 }
};

/* "5m", "50M" or plain digits; within the field's bounds. */
static int
number(const struct config_entry *l, const char *word, const struct unit *units,
    uint64_t *value)
{
	size_t len = strlen(word);
	uint64_t factor = 1, n;

	for (; units->letter != '\0'; units++)
		if (len > 1 && word[len - 1] == units->letter) {
			factor = units->factor;
			len--;
			break;
		}
	if (config_digits(word, len, &n) == -1)
		return config_wrong(l, "`%s' is not a number%s", word,
		    units != no_units ? " with a known unit" : "");
	if (n > UINT64_MAX / factor || n * factor < l->field->min ||
	    n * factor > l->field->max)
		return config_wrong(l, "%s is out of bounds: from %llu to "
		    "%llu", word,
		    (unsigned long long)l->field->min,
		    (unsigned long long)l->field->max);
	*value = n * factor;
	return 0;
}

int
config_one_value(const struct config_entry *l)
{
	if (l->count == 1)
		return 0;
	return config_wrong(l, l->count == 0 ? "needs a value" :
	    "takes one value only");
}

int
config_replaces(const struct config_entry *l, uint32_t before)
{
	return before == 0 ||
	    (l->number == CONFIG_BY_OPTION && before != CONFIG_BY_OPTION);
}

int
config_is_first(const struct config_entry *l)
{
	return config_replaces(l, l->config->set_by[l->field - config_fields]);
}

static size_t *
list_count(const struct config_entry *l)
{
	return (size_t *)(void *)((char *)l->config + l->field->count_offset);
}

void
config_lower(char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
}

int
config_is_file(const struct config_entry *l, const char *word)
{
	if (config_is_path(word))
		return 1;
	(void)config_wrong(l, "`%s' is not an absolute path, or goes up",
	    word);
	return 0;
}

static int
set_hostname(struct config_entry *l)
{
	char *host = FIELD_AT(char, l->config, l->field);

	if (config_one_value(l) == -1)
		return -1;
	if (!config_is_hostname(l->words[0]))
		return config_wrong(l, "`%s' is not a host name", l->words[0]);
	strlcpy(host, l->words[0], HOSTNAME_MAX);
	config_lower(host);
	return 0;
}

static int
set_domains(struct config_entry *l)
{
	struct config *c = l->config;
	size_t i;

	if (l->count == 0)
		return config_wrong(l, "needs a value");
	if (config_is_first(l))
		c->domain_count = 0;
	for (i = 0; i < l->count; i++) {
		if (!config_is_hostname(l->words[i]))
			return config_wrong(l, "`%s' is not a domain",
			    l->words[i]);
		if (c->domain_count == CONFIG_DOMAINS_MAX)
			return config_wrong(l, "more than %d",
			    CONFIG_DOMAINS_MAX);
		strlcpy(c->domains[c->domain_count], l->words[i],
		    HOSTNAME_MAX);
		config_lower(c->domains[c->domain_count++]);
	}
	return 0;
}

static int
set_plaintext(struct config_entry *l)
{
	static const char *const names[] = { "never", "loopback", "always" };
	size_t i;

	if (config_one_value(l) == -1)
		return -1;
	for (i = 0; i < 3; i++)
		if (strcmp(l->words[0], names[i]) == 0) {
			l->config->plaintext_login = (enum plaintext_login)i;
			return 0;
		}
	return config_wrong(l, "needs never, loopback or always");
}

static int
set_mailbox(struct config_entry *l)
{
	static const char *const formats[] = {
		[MAILBOX_MAILDIR] = "maildir", [MAILBOX_MBOX] = "mbox"
	};
	struct config *c = l->config;
	int format;

	for (format = MAILBOX_MAILDIR; format <= MAILBOX_MBOX; format++)
		if (l->count == 2 && strcmp(l->words[0], formats[format]) == 0)
			break;
	if (format > MAILBOX_MBOX)
		return config_wrong(l, "needs `maildir' or `mbox', and a path");
	/* The file itself is looked for by its name, so it must have one. */
	if (format == MAILBOX_MBOX && l->words[1][0] != '\0' &&
	    l->words[1][strlen(l->words[1]) - 1] == '/')
		return config_wrong(l, "`%s' is no file", l->words[1]);
	if (!config_is_mailbox_path(l->words[1]))
		return config_wrong(l, "`%s' is not a path below ~/, or an "
		    "absolute one with %%u in it", l->words[1]);
	c->mailbox_format = (enum mailbox_format)format;
	strlcpy(c->mailbox_path, l->words[1], sizeof(c->mailbox_path));
	return 0;
}

static int
set_path(struct config_entry *l)
{
	if (config_one_value(l) == -1 || !config_is_file(l, l->words[0]))
		return -1;
	strlcpy(FIELD_AT(char, l->config, l->field), l->words[0],
	    CONFIG_PATH_MAX);
	return 0;
}

static int
set_size(struct config_entry *l)
{
	if (config_one_value(l) == -1)
		return -1;
	return number(l, l->words[0], size_units,
	    FIELD_AT(uint64_t, l->config, l->field));
}

static int
set_u32(struct config_entry *l, const struct unit *units)
{
	uint64_t n;

	if (config_one_value(l) == -1 ||
	    number(l, l->words[0], units, &n) == -1)
		return -1;
	*FIELD_AT(uint32_t, l->config, l->field) = (uint32_t)n;
	return 0;
}

static int
set_duration(struct config_entry *l)
{
	return set_u32(l, time_units);
}

static int
set_number(struct config_entry *l)
{
	return set_u32(l, no_units);
}

/* "30d", or the same without its letter, or "never". */
static int
set_days(struct config_entry *l)
{
	uint32_t *days = FIELD_AT(uint32_t, l->config, l->field);

	if (l->count == 1 && strcmp(l->words[0], "never") == 0) {
		*days = 0;
		return 0;
	}
	if (set_u32(l, day_units) == -1)
		return -1;
	return *days > 0 ? 0 : config_wrong(l, "needs at least a day, or "
	    "never");
}

static int
set_schedule(struct config_entry *l)
{
	uint32_t *schedule = FIELD_AT(uint32_t, l->config, l->field);
	uint64_t n;
	size_t i;

	if (l->count == 0 || l->count > CONFIG_RETRY_MAX)
		return config_wrong(l, "needs from 1 to %d values",
		    CONFIG_RETRY_MAX);
	for (i = 0; i < l->count; i++) {
		if (number(l, l->words[i], time_units, &n) == -1)
			return -1;
		schedule[i] = (uint32_t)n;
	}
	*list_count(l) = l->count;
	return 0;
}

/* No bits beyond the prefix: 192.0.2.7/24 is a mistake, not a network. */
static int
is_clean(const struct network *n, unsigned int bits)
{
	unsigned int i;

	for (i = n->prefix; i < bits; i++)
		if (n->address[i / 8] & (0x80 >> (i % 8)))
			return 0;
	return 1;
}

/* ADDRESS or ADDRESS/BITS; 0, or -1 reported. */
static int
parse_network(const struct config_entry *l, const char *word, struct network *n)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(word, '/');
	size_t len = slash != NULL ? (size_t)(slash - word) : strlen(word);
	uint64_t prefix;
	unsigned int bits;

	memset(n, 0, sizeof(*n));
	if (len >= sizeof(host))
		return config_wrong(l, "`%s' is not a network", word);
	memcpy(host, word, len);
	host[len] = '\0';
	n->family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
	bits = n->family == AF_INET ? 32 : 128;
	prefix = bits;
	if (inet_pton(n->family, host, n->address) != 1 || (slash != NULL &&
	    (config_digits(slash + 1, strlen(slash + 1), &prefix) == -1 ||
	    prefix > bits)))
		return config_wrong(l, "`%s' is not a network", word);
	n->prefix = (uint8_t)prefix;
	if (!is_clean(n, bits))
		return config_wrong(l, "`%s' has bits beyond its prefix", word);
	if (n->family == AF_INET6 && prefix >= 96 &&
	    IN6_IS_ADDR_V4MAPPED((struct in6_addr *)n->address))
		return config_wrong(l, "`%s' must be written as IPv4", word);
	return 0;
}

static int
set_networks(struct config_entry *l)
{
	struct network *list = FIELD_AT(struct network, l->config, l->field);
	size_t *count = list_count(l), i, room;

	if (l->count == 0)
		return config_wrong(l, "needs a value");
	if (config_is_first(l))
		*count = 0;
	if (l->count == 1 && strcmp(l->words[0], "none") == 0) {
		*count = 0;
		return 0;
	}
	for (i = 0; i < l->count; i++) {
		room = CONFIG_NETWORKS_MAX - *count;
		if (strcmp(l->words[i], "loopback") == 0 && room >= 2) {
			memcpy(list + *count, config_loopback,
			    sizeof(config_loopback));
			*count += 2;
			continue;
		}
		if (room < 2)
			return config_wrong(l, "more than %d",
			    CONFIG_NETWORKS_MAX);
		if (parse_network(l, l->words[i], &list[*count]) == -1)
			return -1;
		(*count)++;
	}
	return 0;
}

static int
set_user(struct config_entry *l)
{
	struct account_ids *user = FIELD_AT(struct account_ids, l->config,
	    l->field);

	if (config_one_value(l) == -1)
		return -1;
	if (!config_is_account(l->words[0]))
		return config_wrong(l, "`%s' is not an account name",
		    l->words[0]);
	strlcpy(user->name, l->words[0], sizeof(user->name));
	return 0;
}

static int
set_service(struct config_entry *l)
{
	char *service = FIELD_AT(char, l->config, l->field);

	if (config_one_value(l) == -1)
		return -1;
	if (!config_is_service(l->words[0]))
		return config_wrong(l, "`%s' is not the name of a PAM service",
		    l->words[0]);
	strlcpy(service, l->words[0], sizeof(l->config->pam_service));
	return 0;
}

static int
is_none(const struct config_entry *l)
{
	return l->count == 1 && strcmp(l->words[0], "none") == 0;
}

static int
set_optional(struct config_entry *l)
{
	if (!is_none(l))
		return set_path(l);
	FIELD_AT(char, l->config, l->field)[0] = '\0';
	return 0;
}

static int
set_switch(struct config_entry *l)
{
	uint32_t *is_on = FIELD_AT(uint32_t, l->config, l->field);

	if (config_one_value(l) == -1)
		return -1;
	if (strcmp(l->words[0], "yes") != 0 && strcmp(l->words[0], "no") != 0)
		return config_wrong(l, "needs yes or no");
	*is_on = l->words[0][0] == 'y';
	return 0;
}

static int
set_command_user(struct config_entry *l)
{
	if (!is_none(l))
		return set_user(l);
	FIELD_AT(struct account_ids, l->config, l->field)->name[0] = '\0';
	return 0;
}

int (*const config_setters[KIND_COUNT])(struct config_entry *) = {
	[KIND_HOSTNAME] = set_hostname,
	[KIND_DOMAINS] = set_domains,
	[KIND_LISTEN] = config_set_listen,
	[KIND_CERTIFICATE] = config_set_certificate,
	[KIND_PLAINTEXT] = set_plaintext,
	[KIND_INETD] = config_set_inetd,
	[KIND_MAILBOX] = set_mailbox,
	[KIND_PATH] = set_path,
	[KIND_SIZE] = set_size,
	[KIND_NETWORKS] = set_networks,
	[KIND_SCHEDULE] = set_schedule,
	[KIND_DURATION] = set_duration,
	[KIND_NUMBER] = set_number,
	[KIND_DAYS] = set_days,
	[KIND_USER] = set_user,
	[KIND_SERVICE] = set_service,
	[KIND_OPTIONAL] = set_optional,
	[KIND_COMMAND_USER] = set_command_user,
	[KIND_DNS] = config_set_dns,
	[KIND_REMOTE] = config_set_remote,
	[KIND_ROUTES] = config_set_route,
	[KIND_RELAY_TLS] = config_set_relay_tls,
	[KIND_RELAY_AUTH] = set_optional,
	[KIND_SRS_DOMAIN] = config_set_srs_domain,
	[KIND_SRS_SECRET] = set_optional,
	[KIND_PATTERNS] = config_set_patterns,
	[KIND_FAMILY] = config_set_family,
	[KIND_SOURCES] = config_set_sources,
	[KIND_DELIMITER] = config_set_delimiter,
	[KIND_SWITCH] = set_switch,
};
