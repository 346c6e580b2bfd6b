/* LINK: client/recipients client/letter smtpd/address wire/utf8 */
/*
 * A header that some program made up: whoever is found in it has an address
 * that can be said in a command, and means the same when it is read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/letter.h"

#define REQUIRE(what)	do { if (!(what)) abort(); } while (0)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const struct recipients *list)
{
	struct recipients again = { .count = 0 };
	char where[RECIPIENTS_WHERE_MAX];
	size_t i;

	for (i = 0; i < list->count; i++) {
		REQUIRE(strpbrk(list->names[i], "\r\n") == NULL);
		REQUIRE(recipients_add(&again, list->names[i],
		    strlen(list->names[i]), where) == RECIPIENTS_OK);
		REQUIRE(again.count == 1);
		REQUIRE(strcmp(again.names[0], list->names[i]) == 0);
		recipients_free(&again);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct recipients list = { .count = 0 };
	char where[RECIPIENTS_WHERE_MAX];

	letter_recipients((const char *)data, len, &list, where);
	check(&list);
	recipients_free(&list);
	recipients_add(&list, (const char *)data, len, where);
	check(&list);
	recipients_free(&list);
	return 0;
}
