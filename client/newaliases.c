/*
 * newaliases: reads the files of names as the server does, and says what is
 * wrong with them.
 *
 * Runs in sendmail, as whoever called it; reads the aliases file and what lies
 * below its directory, and the files of domain-map and relay-recipients, as far
 * as the caller may.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "fail.h"
#include "newaliases.h"
#include "privsep/config_table.h"
#include "smtpd/aliases.h"

static size_t mistakes;

static void
report(const char *path, size_t line, const char *text)
{
	mistakes++;
	if (line > 0)
		complain("%s:%zu: %s", path, line, text);
	else
		complain("%s: %s", path, text);
}

static void
add_domain(struct config *c, const char *domain)
{
	if (c->domain_count < CONFIG_DOMAINS_MAX &&
	    strlcpy(c->domains[c->domain_count], domain,
	    sizeof(c->domains[0])) < sizeof(c->domains[0]))
		c->domain_count++;
}

/* What of the server's configuration makes a difference here. */
static void
set_config(struct config *c, const struct place *place)
{
	char words[sizeof(place->domains)], host[HOSTNAME_MAX] = "";
	char *at = words, *word;

	config_default_fixed(c);
	strlcpy(c->aliases, place->aliases, sizeof(c->aliases));
	strlcpy(c->domain_map, place->domain_map, sizeof(c->domain_map));
	strlcpy(c->relay_recipients, place->relay_recipients,
	    sizeof(c->relay_recipients));
	strlcpy(words, place->domains, sizeof(words));
	c->domain_count = 0;
	while ((word = strsep(&at, " \t")) != NULL)
		if (*word != '\0')
			add_domain(c, word);
	if (c->domain_count > 0)
		return;
	if (gethostname(host, sizeof(host) - 1) == 0)
		add_domain(c, host);
	add_domain(c, "localhost");
}

/* Mail for an alias waits as long as a list that it includes can't be read. */
static void
check_includes(const struct aliases_file *file, const struct alias *alias)
{
	const struct target *t;
	struct aliases list;
	const char *why;
	size_t i;

	for (i = 0; i < alias->count; i++) {
		t = aliases_target(&file->aliases, alias, i);
		if (t->kind != TARGET_INCLUDE)
			continue;
		if (aliases_include(file, t->text, &list, &why) == 0) {
			aliases_free(&list);
			continue;
		}
		mistakes++;
		complain("%s:%zu: %s: %s", file->path, alias->line, t->text,
		    why);
	}
}

static void
check(const struct config *config, enum names_kind kind)
{
	struct aliases_file file;
	const size_t before = mistakes;
	size_t i;

	aliases_open_as(&file, kind, config, report);
	aliases_refresh(&file);
	for (i = 0; i < file.aliases.count; i++)
		if (!file.aliases.entries[i].is_bad)
			check_includes(&file, &file.aliases.entries[i]);
	if (file.state == ALIASES_NONE && kind == NAMES_ALIASES)
		printf("%s: there is no such file, and so no alias\n",
		    config->aliases);
	else if (file.state == ALIASES_GOOD && mistakes == before)
		printf("%s: %zu names\n", file.path, file.aliases.count);
	aliases_close(&file);
}

int
newaliases_check(const struct place *place)
{
	static struct config config;

	set_config(&config, place);
	check(&config, NAMES_ALIASES);
	check(&config, NAMES_DOMAIN_MAP);
	check(&config, NAMES_RECIPIENTS);
	return mistakes == 0 ? EX_OK : EX_DATAERR;
}
