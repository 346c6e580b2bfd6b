/* LINK: MAILBOX */
/* LIBS: -lmd */
/*
 * fuzz_maildir_sizes: any file in the place of that of counted sizes, as it
 * is and with its sum made right.
 */
#include <stdlib.h>
#include <string.h>

#include "mailbox/maildir_sizes.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(int holds)
{
	if (!holds)
		abort();
}

static void
read_all(const uint8_t *data, size_t size)
{
	struct maildir_sizes s;
	struct maildir_entry last;
	char name[MAILDIR_NAME_MAX + 1];
	size_t count = 0;
	int r;

	if (maildir_sizes_begin(&s, data, size) == -1)
		return;
	memset(&last, 0, sizeof(last));
	while ((r = maildir_sizes_next(&s)) == 1) {
		check(maildir_is_plausible(s.entry.size, s.entry.octets));
		check(s.entry.unique_len > 0 &&
		    strlen(s.entry.name) == s.entry.unique_len);
		if (count > 0)
			check(maildir_compare(&last, &s.entry) < 0);
		last = s.entry;
		last.name = memcpy(name, s.entry.name, sizeof(name));
		count++;
		check(count <= size / 26);
	}
	if (r == 0)
		check(s.left == 0 && s.p == s.end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	uint64_t sum;
	int i;

	read_all(data, size);
	if (size < 8)
		return 0;
	copy = malloc(size);
	check(copy != NULL);
	memcpy(copy, data, size);
	sum = maildir_sizes_sum(0, copy, size - 8);
	for (i = 0; i < 8; i++)
		copy[size - 8 + (size_t)i] = (uint8_t)(sum >> (8 * i));
	read_all(copy, size);
	free(copy);
	return 0;
}
