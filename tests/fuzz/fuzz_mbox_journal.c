/* LINK: mailbox/mbox_journal mailbox/mbox_sum */
/*
 * fuzz_mbox_journal: what ~/.postern remembers of an mbox, as anybody may have
 * written it.  Whatever is accepted can be acted on without leaving the mbox,
 * and says the same when it is written again.  The checks are put right now
 * and then, so that they do not hide what is behind them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox/mbox_journal.h"

#define MAX	4096

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
put_check(uint8_t *data, size_t len)
{
	uint64_t hash = journal_hash(JOURNAL_HASH_START, data, len - 8);
	int i;

	for (i = 0; i < 8; i++)
		data[len - 8 + (size_t)i] = (uint8_t)(hash >> (8 * i));
}

static void
must(int holds)
{
	if (!holds)
		abort();
}

static void
try_slot(const struct journal *j, const uint8_t *data, size_t len)
{
	static uint8_t window[JOURNAL_WINDOW_MAX];
	struct journal_slot slot;
	uint8_t again[JOURNAL_SLOT];

	if (len < JOURNAL_SLOT || journal_slot_get(j, &slot, data) == -1)
		return;
	must(slot.number > 0 && slot.length <= j->window);
	if (slot.length == 0)
		must(j->begin + slot.pos < slot.size);
	(void)journal_slot_is_whole(j, &slot, window, data);
	journal_slot_put(j, &slot, window, again);
	must(journal_slot_is_whole(j, &slot, window, again));
	must(memcmp(again, data, 40) == 0);
}

static void
try_head(uint8_t *data, size_t len, size_t head)
{
	uint8_t again[MAX];
	struct journal j;
	uint64_t at, kept = 0;
	uint32_t i;

	if (journal_get(&j, data, head) == -1) {
		must(j.ranges == NULL);
		return;
	}
	must(j.count > 0 && j.begin < j.size);
	at = j.begin + 1;
	for (i = 0; i < j.count; i++) {
		must(j.ranges[i].offset >= at && j.ranges[i].length > 0);
		at = j.ranges[i].offset + j.ranges[i].length;
		must(at <= j.size);
		kept += j.ranges[i].length;
	}
	must(kept == j.kept && j.begin + kept < j.size);
	must(journal_slot_at(&j, 1) >= head + j.window);
	journal_put(&j, again);
	must(memcmp(again, data, 48) == 0);
	must(memcmp(again + JOURNAL_FIXED, data + JOURNAL_FIXED,
	    head - JOURNAL_FIXED - JOURNAL_CHECK) == 0);
	try_slot(&j, data + head, len - head);
	free(j.ranges);
}

static void
try_intent(uint8_t *data, size_t len)
{
	uint8_t again[INTENT_SIZE];
	struct intent in;

	if (intent_get(&in, data, len) == -1)
		return;
	must(len == INTENT_SIZE && in.length >= 2 && in.has_nul <= 1 &&
	    in.prefix_len <= INTENT_PREFIX && in.prefix_len <= in.length);
	intent_put(&in, again);
	must(memcmp(again, data, 56 + in.prefix_len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	static uint8_t data[MAX];
	size_t head;
	int is_right;

	if (size < 1 || size > MAX)
		return 0;
	is_right = input[0] & 1;
	size--;
	memcpy(data, input + 1, size);
	try_intent(data, size);
	if (is_right && size == INTENT_SIZE) {
		put_check(data, size);
		try_intent(data, size);
	}
	memcpy(data, input + 1, size);
	if (size < JOURNAL_FIXED || journal_count(data) > MAX)
		return 0;
	head = journal_head_size(journal_count(data));
	if (head > size)
		return 0;
	if (is_right)
		put_check(data, head);
	try_head(data, size, head);
	return 0;
}
