/*
 * idna: U-labels to A-labels, as libidn2 has it.
 *
 * Runs in the session agent, the queue, and whoever reads files of names, as
 * queue-user or the owner of the file, on what clients sent.  Touches nothing
 * but its arguments and memory: the library has its tables in its text, and
 * asks the system for nothing that malloc does not.
 */
#include <errno.h>
#include <idn2.h>
#include <stdint.h>
#include <string.h>

#include "smtpd/idna.h"
#include "wire/utf8.h"

/* RFC 1035, section 2.3.4: 255 octets, of which a name as text has 253. */
#define LABEL_MAX	63
#define NAME_MAX_TEXT	253

/*
 * Not with IDN2_USE_STD3_ASCII_RULES: that drops what is not allowed in a host
 * name, and so makes another name of it.
 */
#define LOOKUP	(IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL)

int
idna_is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s > 127)
			return 0;
	return 1;
}

/* One label of a host's name, of len characters? */
static int
is_label(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || len > LABEL_MAX || s[0] == '-' || s[len - 1] == '-')
		return 0;
	for (i = 0; i < len; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') &&
		    !(s[i] >= '0' && s[i] <= '9') &&
		    s[i] != '-')
			return 0;
	return 1;
}

/* Mapped, U+2100 is a/c and U+FF20 is @: what comes out is looked at again. */
static int
is_host(const char *name)
{
	size_t len;

	if (strlen(name) > NAME_MAX_TEXT)
		return 0;
	for (;; name += len + 1) {
		len = strcspn(name, ".");
		if (!is_label(name, len))
			return 0;
		if (name[len] == '\0')
			return 1;
	}
}

int
idna_to_ascii(const char *domain, char ascii[IDNA_MAX])
{
	uint8_t *name = NULL;
	size_t len = strlen(domain);
	int is_good, result;

	errno = EINVAL;
	if (len >= IDNA_MAX)
		return -1;
	if (idna_is_ascii(domain)) {
		memcpy(ascii, domain, len + 1);
		return 0;
	}
	if (!utf8_is_valid(domain, len))
		return -1;
	result = idn2_lookup_u8((const uint8_t *)domain, &name, LOOKUP);
	if (result != IDN2_OK) {
		errno = result == IDN2_MALLOC ? ENOMEM : EINVAL;
		return -1;
	}
	is_good = is_host((const char *)name);
	if (is_good)
		strlcpy(ascii, (const char *)name, IDNA_MAX);
	idn2_free(name);
	errno = EINVAL;
	return is_good ? 0 : -1;
}
