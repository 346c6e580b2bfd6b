/*
 * aliases_check: what one target of an alias is, and what is wrong with it.
 *
 * Runs as the parser does: in the session agent and in the queue, both as
 * queue-user, in newaliases as whoever called it, and in a delivery agent as
 * the recipient, for his ~/.forward; touches nothing but memory.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "smtpd/account.h"
#include "smtpd/address.h"
#include "smtpd/aliases_check.h"
#include "smtpd/idna.h"

#define BLANKS	" \t\r"

/* What is wrong with an address, or NULL; item becomes what it stands for. */
static const char *
check_address(const struct config *config, char *item, enum target_kind *kind)
{
	struct address address;
	char ascii[IDNA_MAX];
	size_t i;

	if (address_mailbox(item, strlen(item), ADDRESS_BARE | ADDRESS_UTF8,
	    &address) != ADDRESS_OK ||
	    idna_to_ascii(address.domain, ascii) == -1)
		return "target is neither an account nor an address";
	/*
	 * As the DNS has it: so fewer hosts are in want of SMTPUTF8.  It can
	 * be too long then for a letter to be read back from the spool.
	 */
	strlcpy(address.domain, ascii, sizeof(address.domain));
	if (!address_is_legal_utf8(&address))
		return "target is too long an address";
	if (address.domain[0] == '\0' ||
	    config_is_local_domain(config, address.domain)) {
		strlcpy(item, address.local, TARGET_TEXT_MAX);
		return NULL;
	}
	if (*kind == TARGET_ACCOUNT)
		return "an address elsewhere has no backslash before it";
	*kind = TARGET_REMOTE;
	for (i = 0; address.domain[i] != '\0'; i++)
		address.domain[i] = (char)tolower((unsigned char)
		    address.domain[i]);
	/* Quoted where it need not be, it gets shorter; never longer. */
	if (address_print(&address, item, TARGET_TEXT_MAX) == -1)
		return "target is no address that mail can be sent to";
	return NULL;
}

/* ":group:NAME": the same. */
static const char *
check_group(char *item, enum target_kind *kind)
{
	static const char group[] = ":group:";
	size_t len = sizeof(group) - 1;

	if (strncasecmp(item, group, len) != 0)
		return "target is neither an account nor an address";
	len += strspn(item + len, BLANKS);
	if (!is_account_name(item + len))
		return ":group: needs the name of a group";
	memmove(item, item + len, strlen(item + len) + 1);
	*kind = TARGET_GROUP;
	return NULL;
}

const char *
aliases_check(const struct config *config, unsigned may_hold, char *item,
    int quoted, enum target_kind *kind)
{
	static const char include[] = ":include:";
	size_t len = sizeof(include) - 1;

	if (item[0] == '\0')
		return "empty target";
	if (strcmp(item, "/dev/null") == 0) {
		*kind = TARGET_NOTHING;
		return NULL;
	}
	if (item[0] == '|' || item[0] == '/') {
		*kind = TARGET_PROGRAM;
		return (may_hold & TARGETS_PROGRAMS) != 0 ?
		    program_check(item) :
		    "only an alias can be a command or a file";
	}
	if (quoted || item[0] != ':')
		return check_address(config, item, kind);
	if (strncasecmp(item, include, len) != 0)
		return check_group(item, kind);
	len += strspn(item + len, BLANKS);
	if (item[len] != '/')
		return ":include: needs an absolute path";
	if ((may_hold & TARGETS_INCLUDES) == 0)
		return "a list can't include another";
	memmove(item, item + len, strlen(item + len) + 1);
	*kind = TARGET_INCLUDE;
	return NULL;
}
