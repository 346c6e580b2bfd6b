/* LINK: smtpd/aliases smtpd/idna smtpd/expand smtpd/groups smtpd/aliases_include smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/account smtpd/address smtpd/xtext smtpd/envelope privsep/config privsep/log privsep/message wire/utf8 */
/*
 * The aliases file, the lists that it includes, and what its aliases come to: no name may lead outside of
 * what an account can be called, nor may the work grow without bounds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/config.h"
#include "privsep/config_table.h"
#include "smtpd/account.h"
#include "smtpd/expand.h"

#define REQUIRE(what)	do { if (!(what)) abort(); } while (0)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct config config;

static void
report(const char *path, size_t line, const char *text)
{
	(void)line;
	REQUIRE(path != NULL && text != NULL);
}

static void
check_expansion(const struct aliases_file *file, const char *name)
{
	static struct expansion x;
	const struct recipient r = {
		.local = name, .domain = "localhost", .account = "",
		.orcpt = ""
	};
	size_t i;

	expand(&(struct expand_names){ .aliases = file }, &r, &x);
	REQUIRE(x.count <= EXPAND_MAX);
	REQUIRE(x.count > 0 || x.trouble != 0 || x.is_thrown_away);
	for (i = 0; i < x.count; i++) {
		if (x.targets[i].kind == TARGET_REMOTE) {
			REQUIRE(strchr(x.targets[i].text, '@') != NULL);
			continue;
		}
		REQUIRE(x.targets[i].kind == TARGET_ACCOUNT);
		REQUIRE(is_account_name(x.targets[i].text));
		REQUIRE(strcmp(x.targets[i].text, "root") != 0);
	}
	expand_free(&x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct aliases_file file = {
		.dir = -1, .path = "", .config = &config, .report = report,
		.state = ALIASES_GOOD
	};
	static struct aliases list;
	const struct alias *alias;
	size_t i;

	if (config.domain_count == 0)
		config_default_fixed(&config);
	REQUIRE(aliases_parse(&file.aliases, (const char *)data, len, "x",
	    &config, report) == 0);
	for (i = 0; i < file.aliases.count; i++) {
		alias = &file.aliases.entries[i];
		REQUIRE(aliases_find(&file.aliases, alias->name) == alias);
		REQUIRE(alias->is_bad || alias->count > 0);
		if (i < 50)
			check_expansion(&file, alias->name);
	}
	check_expansion(&file, "postmaster");
	aliases_free(&file.aliases);
	/* The same octets as a list that somebody else keeps. */
	REQUIRE(aliases_parse_list(&list, (const char *)data, len, "x",
	    &config, report) == 0);
	REQUIRE(list.count == 1 &&
	    list.entries[0].count == list.target_count);
	for (i = 0; i < list.target_count; i++)
		REQUIRE(list.targets[i].kind != TARGET_INCLUDE);
	aliases_free(&list);
	return 0;
}
