/* LINK: smtpd/address smtpd/idna wire/utf8 */
/*
 * Any octets as a path and as a mailbox: what is accepted can be printed, and
 * parsing the print gives the same address.  The first octet holds the flags.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/address.h"
#include "smtpd/idna.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(int condition)
{
	if (!condition)
		abort();
}

/* As it was, or a host's name, and nothing else again. */
static int
idna_is_legal(const char *ascii, const struct address *address)
{
	char again[IDNA_MAX], path[ADDRESS_PRINT_MAX];
	size_t len = strlen(ascii);
	struct address host;

	if (idna_is_ascii(address->domain))
		return strcmp(ascii, address->domain) == 0;
	snprintf(path, sizeof(path), "a@%s", ascii);
	/* The longest name that the DNS has makes too long a path. */
	return (address_mailbox(path, len + 2, 0, &host) == ADDRESS_OK ||
	    len == 253) && ascii[0] != '[' &&
	    idna_to_ascii(ascii, again) == 0;
}

static void
round_trip(const struct address *address, int utf8)
{
	struct address again;
	char text[ADDRESS_PRINT_MAX], brackets[ADDRESS_PRINT_MAX + 2];
	char ascii[IDNA_MAX];
	size_t len, used;

	must(address_print(address, text, sizeof(text)) == 0);
	len = strlen(text);
	must(address_mailbox(text, len, ADDRESS_NULL | ADDRESS_BARE | utf8,
	    &again) == ADDRESS_OK);
	must(memcmp(address, &again, sizeof(again)) == 0);
	must(address_is_legal_utf8(address) == !address_is_null(address));
	must(utf8 || address_is_ascii(address));
	must(address_is_legal(address) == (!address_is_null(address) &&
	    address_is_ascii(address)));
	if (idna_to_ascii(address->domain, ascii) == 0)
		must(idna_is_legal(ascii, address));
	else
		must(!idna_is_ascii(address->domain));
	if (address->domain[0] == '\0')
		return;
	brackets[0] = '<';
	memcpy(brackets + 1, text, len);
	brackets[len + 1] = '>';
	must(address_path(brackets, len + 2, utf8, &again, &used) == ADDRESS_OK);
	must(used == len + 2 && used <= ADDRESS_PATH_LIMIT);
	must(memcmp(address, &again, sizeof(again)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct address empty;
	struct address address;
	const char *text = (const char *)data + 1;
	size_t used;

	if (size < 1)
		return 0;
	size--;
	if (address_path(text, size, data[0] & 7, &address, &used) ==
	    ADDRESS_OK) {
		must(used <= size && text[used - 1] == '>');
		must(memchr(text, '\0', used) == NULL);
		round_trip(&address, data[0] & ADDRESS_UTF8);
	} else
		must(memcmp(&address, &empty, sizeof(empty)) == 0);
	if (address_mailbox(text, size, data[0] & 7, &address) == ADDRESS_OK)
		round_trip(&address, data[0] & ADDRESS_UTF8);
	else
		must(memcmp(&address, &empty, sizeof(empty)) == 0);
	return 0;
}
