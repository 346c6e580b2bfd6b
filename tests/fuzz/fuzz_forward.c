/* LINK: smtpd/forward smtpd/aliases smtpd/idna smtpd/account smtpd/aliases_file smtpd/aliases_index smtpd/name_index smtpd/address_key smtpd/address smtpd/xtext privsep/config privsep/log privsep/message wire/utf8 */
/*
 * ~/.forward: whatever a user writes there, the queue is told of names and
 * addresses only.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "privsep/config_table.h"
#include "smtpd/address.h"
#include "smtpd/forward.h"

#define REQUIRE(what)	do { if (!(what)) abort(); } while (0)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct config config;
	static const struct identity who = { .name = "alice", .home = "/x" };
	struct address address;
	struct forward f;
	size_t i;

	if (config.domain_count == 0)
		config_default_fixed(&config);
	REQUIRE(forward_parse(&f, (const char *)data, len, &who, &config) == 0);
	REQUIRE(f.is_set || (!f.keeps && f.count == 0));
	REQUIRE(f.refused == NULL || !f.is_set);
	for (i = 0; i < f.count; i++)
		REQUIRE(address_mailbox(f.addresses[i],
		    strlen(f.addresses[i]), ADDRESS_BARE, &address) ==
		    ADDRESS_OK);
	forward_free(&f);
	return 0;
}
