/*
 * print_json: letters of the queue, as programs read them (RFC 8259).
 *
 * Runs in postern, as whoever called it; writes to the stream that it is
 * given.
 */
#include <inttypes.h>
#include <string.h>

#include "print.h"
#include "smtpd/envelope.h"
#include "wire/utf8.h"

void
print_json_string(FILE *out, const char *text)
{
	const int is_utf8 = utf8_is_valid(text, strlen(text));
	const unsigned char *p;

	putc('"', out);
	for (p = (const unsigned char *)text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p < ' ' || *p == 127)
			fprintf(out, "\\u%04x", *p);
		else if (*p > 127 && !is_utf8)
			fputs("\\ufffd", out);
		else if (*p == 0xc2 && p[1] < 0xa0)
			fprintf(out, "\\u%04x", *++p);	/* C1 */
		else
			putc(*p, out);
	}
	putc('"', out);
}

static void
put_member(FILE *out, const char *name, const char *value)
{
	fprintf(out, ",\"%s\":", name);
	print_json_string(out, value);
}

static void
put_number(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, ",\"%s\":%" PRIu64, name, value);
}

static void
json_begin(FILE *out)
{
	fputs("{\"letters\":[", out);
}

static void
json_letter(FILE *out, const struct letter_record *r, size_t index)
{
	fprintf(out, "%s{\"id\":", index > 0 ? ",\n" : "\n");
	print_json_string(out, r->id);
	put_member(out, "state", print_place(r->place));
	put_number(out, "size", r->size);
	if (r->place == LETTER_DEFERRED)
		put_number(out, "next_try", r->due);
	if (r->is_kept)
		fputs(",\"held_by_root\":true", out);
	if (r->is_damaged) {
		fputs(",\"damaged\":true,\"recipients\":[", out);
		return;
	}
	put_number(out, "arrived", r->arrived);
	put_number(out, "attempts", r->attempts);
	if (r->owner != ENVELOPE_NOBODY)
		put_number(out, "uid", r->owner);
	if (r->login[0] != '\0')
		put_member(out, "login", r->login);
	if (r->client[0] != '\0')
		put_member(out, "client", r->client);
	put_member(out, "sender", r->sender);
	fputs(",\"recipients\":[", out);
}

static void
json_recipient(FILE *out, const struct recipient_record *r, size_t index)
{
	static const char *const states[] = {
		[RECIPIENT_PENDING] = "pending",
		[RECIPIENT_DEFERRED] = "deferred",
		[RECIPIENT_DELIVERED] = "delivered",
		[RECIPIENT_FAILED] = "failed",
	};

	fprintf(out, "%s{\"state\":\"%s\"", index > 0 ? "," : "",
	    states[r->state]);
	put_member(out, "address", r->address);
	if (r->when != 0)
		put_number(out, "when", r->when);
	if (r->status[0] != '\0')
		put_member(out, "status", r->status);
	if (r->remote[0] != '\0')
		put_member(out, "remote", r->remote);
	if (r->text[0] != '\0')
		put_member(out, "text", r->text);
	putc('}', out);
}

static void
json_letter_end(FILE *out)
{
	fputs("]}", out);
}

static void
json_end(FILE *out, size_t letters, uint64_t octets)
{
	fprintf(out, "\n],\"count\":%zu,\"octets\":%" PRIu64 "}\n", letters,
	    octets);
}

const struct printer print_json = {
	json_begin, json_letter, json_recipient, json_letter_end, json_end
};
