/* LINK: smtpd/aliases smtpd/idna smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/expand smtpd/groups smtpd/aliases_include smtpd/account smtpd/address smtpd/xtext smtpd/envelope privsep/config privsep/log privsep/message wire/utf8 */
/*
 * The domain map, and the recipients of relay domains: every name in it is
 * found again, in the domain that it is in, and leads to accounts and
 * addresses only.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/config_table.h"
#include "smtpd/domain_map.h"
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
check(struct aliases_file *map, const struct alias *want)
{
	static struct expansion x;
	struct aliases_file none = {
		.dir = -1, .path = "", .config = &config, .report = report
	};
	const struct expand_names names = { .aliases = &none, .map = map };
	char local[ADDRESS_KEY_MAX];
	struct recipient r = { .local = local, .account = "", .orcpt = "" };
	const struct alias *entry;
	const struct aliases *in;

	r.domain = address_key_domain(want->name);
	REQUIRE(strlcpy(local, want->name, sizeof(local)) < sizeof(local));
	local[r.domain - want->name - 1] = '\0';
	REQUIRE(domain_map_has(map, r.domain) == MAP_FOUND);
	REQUIRE(domain_map_find(map, local, r.domain, &entry, &in) ==
	    MAP_FOUND && entry == want);
	if (local[0] == '\0')
		return;
	expand(&names, &r, &x);
	REQUIRE(x.count <= EXPAND_MAX);
	REQUIRE(x.count > 0 || x.trouble != 0 || x.is_thrown_away);
	expand_free(&x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct aliases_file map = {
		.kind = NAMES_DOMAIN_MAP, .dir = -1, .path = "map",
		.config = &config, .report = report, .state = ALIASES_GOOD
	};
	size_t i;

	if (config.domain_count == 0)
		config_default_fixed(&config);
	REQUIRE(aliases_parse_as(&map.aliases, NAMES_DOMAIN_MAP,
	    (const char *)data, len, "x", &config, report) == 0);
	for (i = 0; i < map.aliases.count && i < 100; i++)
		check(&map, &map.aliases.entries[i]);
	aliases_free(&map.aliases);
	REQUIRE(aliases_parse_as(&map.aliases, NAMES_RECIPIENTS,
	    (const char *)data, len, "x", &config, report) == 0);
	REQUIRE(map.aliases.target_count == 0);
	aliases_free(&map.aliases);
	return 0;
}
