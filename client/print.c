/*
 * print: letters of the queue, as people read them.
 *
 * Runs in postern and in sendmail, as whoever called it; writes to the stream
 * that it is given.  What strangers chose, addresses and replies, goes to
 * somebody's terminal: nothing in it may move the cursor.
 */
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <time.h>

#include "print.h"
#include "smtpd/envelope.h"
#include "wire/utf8.h"

#define TIME_ROOM	64
#define PIECE		4096	/* octets of a line at once */

static const char *const places[] = {
	[LETTER_ACTIVE] = "active",
	[LETTER_WAITING] = "waiting",
	[LETTER_DEFERRED] = "deferred",
	[LETTER_HELD] = "held",
	[LETTER_FAILED] = "failed",
};

static const char *const states[] = {
	[RECIPIENT_PENDING] = "pending",
	[RECIPIENT_DEFERRED] = "deferred",
	[RECIPIENT_DELIVERED] = "delivered",
	[RECIPIENT_FAILED] = "failed",
};

const char *
print_place(uint32_t place)
{
	return places[place];
}

uint32_t
print_find_place(const char *name)
{
	uint32_t i;

	for (i = 0; i < LETTER_PLACES; i++)
		if (strcmp(places[i], name) == 0)
			break;
	return i;
}

void
print_text(FILE *out, const char *text)
{
	const int is_utf8 = utf8_is_valid(text, strlen(text));
	const unsigned char *p;

	for (p = (const unsigned char *)text; *p != '\0'; p++) {
		if (*p < ' ' || *p == 127 || (*p > 127 && !is_utf8)) {
			putc('?', out);
		} else if (*p == 0xc2 && p[1] < 0xa0) {
			putc('?', out);		/* C1: U+0080 to U+009F */
			p++;
		} else
			putc(*p, out);
	}
}

void
print_content(FILE *out, FILE *from)
{
	char text[PIECE];
	size_t len = 0;
	int c, is_end;

	do {
		c = getc(from);
		is_end = c == EOF || c == '\n' || c == '\t';
		if (!is_end)
			text[len++] = c != '\0' ? (char)c : '?';
		if (!is_end && len + 1 < PIECE)
			continue;
		text[len] = '\0';
		print_text(out, text);
		len = 0;
		if (is_end && c != EOF)
			putc(c, out);
	} while (c != EOF);
}

static const char *
print_time(uint64_t when, int is_whole, char text[TIME_ROOM])
{
	const time_t t = (time_t)when;
	struct tm tm;
	size_t len = 0;

	if (localtime_r(&t, &tm) != NULL)
		len = is_whole ?
		    strftime(text, TIME_ROOM, "%Y-%m-%d %H:%M:%S %z", &tm) :
		    strftime(text, TIME_ROOM, "%a %b %e %H:%M:%S", &tm);
	if (len == 0)
		strlcpy(text, "?", TIME_ROOM);
	return text;
}

static void
mailq_begin(FILE *out)
{
	(void)out;
}

static char
mark_of(uint32_t place)
{
	static const char marks[] = {
		[LETTER_ACTIVE] = '*', [LETTER_WAITING] = ' ',
		[LETTER_DEFERRED] = ' ', [LETTER_HELD] = '!',
		[LETTER_FAILED] = '#',
	};

	return marks[place];
}

static void
mailq_letter(FILE *out, const struct letter_record *r, size_t index)
{
	char text[TIME_ROOM];

	if (index == 0)
		fprintf(out, "%-21s %9s %-19s  %s\n", "-Queue ID-", "--Size--",
		    "---Arrival Time----", "-Sender/Recipient-------");
	print_text(out, r->id);
	fprintf(out, "%c%*s%9" PRIu64 " %-19s  ", mark_of(r->place),
	    strlen(r->id) < 21 ? (int)(21 - strlen(r->id)) : 1, "", r->size,
	    r->is_damaged ? "?" : print_time(r->arrived, 0, text));
	print_text(out, r->is_damaged ? "(the file is damaged)" :
	    r->sender[0] != '\0' ? r->sender : "<>");
	putc('\n', out);
}

static void
say_why(FILE *out, const struct recipient_record *r)
{
	if (r->status[0] != '\0') {
		print_text(out, r->status);
		putc(' ', out);
	}
	print_text(out, r->text);
	if (r->remote[0] != '\0') {
		fputs(", says ", out);
		print_text(out, r->remote);
	}
}

/* Who has it is no longer in the queue. */
static void
mailq_recipient(FILE *out, const struct recipient_record *r, size_t index)
{
	(void)index;
	if (r->state == RECIPIENT_DELIVERED)
		return;
	if (r->state != RECIPIENT_PENDING) {
		fprintf(out, "%8s(", "");
		say_why(out, r);
		fputs(")\n", out);
	}
	fprintf(out, "%53s", "");
	print_text(out, r->address);
	putc('\n', out);
}

static void
mailq_letter_end(FILE *out)
{
	putc('\n', out);
}

static void
mailq_end(FILE *out, size_t letters, uint64_t octets)
{
	if (letters == 0)
		fputs("Mail queue is empty\n", out);
	else
		fprintf(out, "-- %" PRIu64 " Kbytes in %zu Request%s.\n",
		    (octets + 1023) / 1024, letters, letters == 1 ? "" : "s");
}

const struct printer print_mailq = {
	mailq_begin, mailq_letter, mailq_recipient, mailq_letter_end,
	mailq_end
};

static void
show_owner(FILE *out, const struct letter_record *r)
{
	const struct passwd *pw;

	fputs("Owner:      ", out);
	if (r->owner == ENVELOPE_NOBODY) {
		fputs("nobody here", out);
	} else {
		pw = r->login[0] == '\0' ? getpwuid(r->owner) : NULL;
		print_text(out, pw != NULL ? pw->pw_name : r->login);
		fprintf(out, " (uid %" PRIu32 ")", r->owner);
	}
	if (r->client[0] != '\0') {
		fputs(", from ", out);
		print_text(out, r->client);
	}
	putc('\n', out);
}

static void
show_letter(FILE *out, const struct letter_record *r, size_t index)
{
	char text[TIME_ROOM];

	fprintf(out, "%sId:         ", index > 0 ? "\n" : "");
	print_text(out, r->id);
	fprintf(out, "\nState:      %s", places[r->place]);
	if (r->place == LETTER_DEFERRED)
		fprintf(out, ", next try %s", print_time(r->due, 1, text));
	if (r->is_kept)
		fputs(" by root", out);
	if (r->is_damaged) {
		fputs(", the file is damaged\n", out);
		return;
	}
	fprintf(out, "\nArrived:    %s\n", print_time(r->arrived, 1, text));
	fprintf(out, "Size:       %" PRIu64 "\nAttempts:   %" PRIu32 "\n",
	    r->size, r->attempts);
	show_owner(out, r);
	fputs("Sender:     <", out);
	print_text(out, r->sender);
	fputs(">\n", out);
}

static void
show_recipient(FILE *out, const struct recipient_record *r, size_t index)
{
	char text[TIME_ROOM];

	(void)index;
	fputs("Recipient:  <", out);
	print_text(out, r->address);
	fprintf(out, "> %s", states[r->state]);
	if (r->state != RECIPIENT_PENDING) {
		fprintf(out, "\n            %s ", print_time(r->when, 1,
		    text));
		say_why(out, r);
	}
	putc('\n', out);
}

static void
show_letter_end(FILE *out)
{
	(void)out;
}

static void
show_end(FILE *out, size_t letters, uint64_t octets)
{
	(void)out;
	(void)letters;
	(void)octets;
}

const struct printer print_show = {
	mailq_begin, show_letter, show_recipient, show_letter_end, show_end
};
