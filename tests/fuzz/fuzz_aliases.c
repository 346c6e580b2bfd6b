/* LINK: smtpd/aliases smtpd/expand smtpd/account smtpd/address smtpd/xtext smtpd/envelope privsep/config wire/utf8 */
/*
 * The aliases file, and what its aliases come to: no name may lead outside of
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
	REQUIRE(path != NULL && line > 0 && text != NULL);
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

	expand(file, &r, &x);
	REQUIRE(x.count <= EXPAND_MAX);
	REQUIRE(x.count > 0 || x.trouble != 0);
	for (i = 0; i < x.count; i++) {
		REQUIRE(is_account_name(x.accounts[i]));
		REQUIRE(strcmp(x.accounts[i], "root") != 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct aliases_file file = { .state = ALIASES_GOOD };
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
	return 0;
}
