/* LINK: smtpd/srs mailbox/sha256 smtpd/address smtpd/xtext privsep/config wire/utf8 */
/*
 * SRS: what a reverse-path becomes is a legal address and leads back to it, or
 * to the SRS0 behind it; what stands behind a stranger's address is a legal
 * one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "privsep/config_table.h"
#include "smtpd/srs.h"

#define NOW	UINT64_C(1700000000)
#define REQUIRE(what)	do { if (!(what)) abort(); } while (0)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
there_and_back(const struct config *c, const char *path)
{
	struct address from, by, to;
	char text[ADDRESS_PRINT_MAX];

	if (srs_forward(c, path, NOW, text) == -1)
		return;
	REQUIRE(address_mailbox(path, strlen(path), ADDRESS_UTF8, &from) ==
	    ADDRESS_OK);
	REQUIRE(address_mailbox(text, strlen(text), ADDRESS_UTF8, &by) ==
	    ADDRESS_OK);
	REQUIRE(srs_is_address(by.local));
	REQUIRE(srs_reverse(c, by.local, NOW, &to) == SRS_GOOD);
	REQUIRE(address_is_legal_utf8(&to));
	if (by.local[3] == '0')
		REQUIRE(strcmp(to.local, from.local) == 0 &&
		    strcmp(to.domain, from.domain) == 0);
	else if (from.local[3] == '0')
		REQUIRE(strcasecmp(to.local, from.local) == 0 &&
		    strcmp(to.domain, from.domain) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct config config;
	struct address to;
	char text[512];

	if (config.srs_secret_count == 0) {
		config_default_fixed(&config);
		strcpy(config.srs_domain, "srs.example");
		strcpy(config.srs_secrets[0], "0123456789abcdef");
		config.srs_secret_count = 1;
	}
	if (len >= sizeof(text))
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	there_and_back(&config, text);
	if (srs_reverse(&config, text, NOW, &to) == SRS_GOOD)
		REQUIRE(address_is_legal_utf8(&to));
	return 0;
}
