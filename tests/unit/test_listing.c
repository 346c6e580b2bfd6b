/* LINK: client/listing client/seen smtpd/control_gate privsep/message */
/*
 * What is made of the queue's pages: each letter once, however often it is
 * told of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#undef fail		/* cmocka's */
#include "client/fail.h"
#include "client/listing.h"

static const char *const *told;		/* ids, page by page; NULL at the end */
static char shown[100000];

void
fail(int code, const char *fmt, ...)
{
	fprintf(stderr, "%d: %s\n", code, fmt);
	abort();
}

void
complain(const char *fmt, ...)
{
	fprintf(stderr, "%s\n", fmt);
	abort();
}

/* Five letters, each with two recipients. */
static void
make_page(struct message *m, uint32_t type)
{
	struct letter_record letter = { .size = 10, .recipients = 2 };
	struct recipient_record recipient = { .address = "r@there.example" };
	size_t i;

	message_begin(m, type);
	for (i = 0; i < 5 && *told != NULL; i++, told++) {
		strlcpy(letter.id, *told, sizeof(letter.id));
		put_letter_record(m, &letter);
		put_recipient_record(m, &recipient);
		put_recipient_record(m, &recipient);
	}
	put_u32(m, 0);
	put_u32(m, *told != NULL ? PAGE_MORE : PAGE_LAST);
}

void
talk_ask(struct talk *t, const struct message *request, uint32_t type,
    struct message *reply)
{
	(void)t;
	(void)request;
	make_page(reply, type);
}

void
talk_next(struct talk *t, uint32_t type, struct message *reply)
{
	(void)t;
	make_page(reply, type);
}

void
talk_end(struct message *reply)
{
	assert_int_equal(get_end(reply), 0);
}

void
print_content(FILE *to, FILE *from)
{
	(void)to;
	(void)from;
}

static void
print_nothing(FILE *out)
{
	(void)out;
	shown[0] = '\0';
}

static void
print_letter(FILE *out, const struct letter_record *r, size_t index)
{
	char text[64];

	(void)out;
	snprintf(text, sizeof(text), "%zu=%s", index, r->id);
	strlcat(shown, text, sizeof(shown));
}

static void
print_recipient(FILE *out, const struct recipient_record *r, size_t index)
{
	(void)out;
	(void)r;
	strlcat(shown, index == 0 ? "a" : "b", sizeof(shown));
}

static void
print_letter_end(FILE *out)
{
	(void)out;
	strlcat(shown, ".", sizeof(shown));
}

static void
print_end(FILE *out, size_t letters, uint64_t octets)
{
	(void)out;
	assert_int_equal(octets, letters * 10);
}

static const struct printer printer = { print_nothing, print_letter,
	print_recipient, print_letter_end, print_end };

static void
test_once(void **state)
{
	static const char *const ids[] = { "A", "B", "A", "C", "B", "B", "D",
	    "A", "D", "D", "A", NULL };
	const struct selection any = { 0 };
	struct talk talk = { 0 };
	struct listing l;

	(void)state;
	listing_open(&l, &talk, &printer);
	told = ids;
	assert_int_equal(listing_add(&l, &any), 4);
	assert_string_equal(shown, "0=Aab.1=Bab.2=Cab.3=Dab.");
	/* Whoever asks for it twice sees it twice. */
	told = ids + 10;
	assert_int_equal(listing_add(&l, &any), 1);
	assert_string_equal(shown, "0=Aab.1=Bab.2=Cab.3=Dab.4=Aab.");
	assert_int_equal(listing_close(&l), 0);
}

static void
test_many(void **state)
{
	struct seen seen = { 0 };
	char id[QUEUE_ID_MAX];
	unsigned i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		snprintf(id, sizeof(id), "%024u", i);
		assert_int_equal(seen_add(&seen, id), 0);
		snprintf(id, sizeof(id), "%024u", i / 2);
		assert_int_equal(seen_add(&seen, id), 1);
	}
	assert_int_equal(seen.count, 100000);
	seen_clear(&seen);
	assert_int_equal(seen_add(&seen, id), 0);
	seen_clear(&seen);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once), cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
