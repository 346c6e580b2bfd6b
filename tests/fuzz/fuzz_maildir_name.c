/* LINK: mailbox/maildir_name */
/* LIBS: -lmd */
/*
 * fuzz_maildir_name: what a file name says; any name may lie in a Maildir.
 */
#include <stdlib.h>
#include <string.h>

#include "mailbox/maildir.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(int holds)
{
	if (!holds)
		abort();
}

static void
check_uidl(const char *uidl)
{
	size_t i, len = strlen(uidl);

	check(len >= 1 && len <= 70);
	for (i = 0; i < len; i++)
		check(uidl[i] >= 0x21 && uidl[i] <= 0x7e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[MAILDIR_NAME_MAX + 1], uidl[UIDL_MAX], again[UIDL_MAX];
	struct maildir_name n, m;
	size_t len;

	if (size == 0 || size > MAILDIR_NAME_MAX || data[0] == '\0')
		return 0;
	memcpy(name, data, size);
	name[size] = '\0';
	len = strlen(name);
	maildir_name_parse(name, &n);
	check(n.unique_len <= n.base_len && n.base_len <= len);
	check(n.base_len > 0);
	if (n.size != MAILDIR_UNSAID && n.octets != MAILDIR_UNSAID)
		check(maildir_is_plausible(n.size, n.octets));
	maildir_name_uidl(name, n.unique_len, n.base_len, 1, uidl);
	check_uidl(uidl);
	maildir_name_uidl(name, n.unique_len, n.base_len, 0, uidl);
	check_uidl(uidl);

	/* Flags change neither UIDL nor sizes. */
	if (n.base_len == len && strchr(name, ':') != NULL)
		return 0;
	if (n.base_len + 5 > MAILDIR_NAME_MAX)
		return 0;
	memcpy(name + n.base_len, ":2,S", 5);
	maildir_name_parse(name, &m);
	maildir_name_uidl(name, m.unique_len, m.base_len, 0, again);
	check(strcmp(uidl, again) == 0 && n.seconds == m.seconds &&
	    n.size == m.size && n.octets == m.octets);
	return 0;
}
