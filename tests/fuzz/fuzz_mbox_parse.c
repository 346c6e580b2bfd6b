/* LINK: MAILBOX */
/*
 * The messages of an mbox: they lie side by side and fill the file, each is
 * intact, each begins with a line that separates, and whatever stands before
 * one ends with an empty line.
 */
#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mailbox/mbox.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define MESSAGES_MAX	64

static const uint8_t *text;
static uint64_t at;
static struct mbox_entry entries[MESSAGES_MAX];
static size_t count;

static void
must(int condition)
{
	if (!condition)
		abort();
}

static int
take(void *arg, const struct mbox_entry *e)
{
	(void)arg;
	must(count == 0 || e->from == at);
	must(e->space >= e->from_len);
	must(e->space - e->from_len - e->length <= 2);
	must(mbox_is_from(text + e->from, e->from_len));
	if (e->from > 0)
		must(text[e->from - 1] == '\n' && (e->from == 1 ||
		    text[e->from - 2] == '\n' || text[e->from - 2] == '\r'));
	at = e->from + e->space;
	if (count == MESSAGES_MAX)
		return 1;
	entries[count++] = *e;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	static int fd = -1;
	uint64_t first;
	size_t i;
	int r;

	if (fd == -1)
		fd = memfd_create("mbox", MFD_CLOEXEC);
	must(ftruncate(fd, 0) == 0);
	must(pwrite(fd, in, size, 0) == (ssize_t)size);
	(void)mbox_is_from(in, size);
	text = in;
	at = count = 0;
	r = mbox_scan(fd, 0, size, &first, take, NULL);
	if (r == 0) {
		must(first <= size);
		must(count == 0 ? first == size : entries[0].from == first);
		must(count == 0 || at == size);
	}
	for (i = 0; i < count; i++)
		must(mbox_entry_is_intact(fd, &entries[i]));
	return 0;
}
