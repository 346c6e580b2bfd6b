/*
 * mbox_letter: print a letter as it stands in an mbox.
 *
 * Runs in agents, as the recipient; reads the letter's content from the
 * descriptor that the queue passed, a block at a time.
 *
 * Fields of its header that mail programs keep their own notes in are left
 * out: by a Content-Length a sender could say that other letters are a part
 * of this one, and by the others that it was read, or deleted.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../wire/mbox_filter.h"
#include "io.h"
#include "mbox_letter.h"

#define SENDER_MAX	512
#define DATE_MAX	32
#define IN_LINE		(-1)

struct printer {
	mbox_sink	 sink;
	void		*arg;
	int		 matched;	/* of "From ", behind ">" only; or
					 * IN_LINE */
	char		 last;		/* octet of the content */
	struct mbox_filter filter;	/* what of it is stored */
};

static const char from[] = "From ";
#define FROM_LEN	((int)sizeof(from) - 1)

/*
 * Quote: one ">" more before each line that is "From " behind any number of
 * them.  Which of the ">"s is the new one makes no difference, so it is put
 * where the others end.
 */
static int
print_quoted(struct printer *p, const char *text, size_t len)
{
	const char *lf, *end = text + len;
	size_t piece;
	int matched;

	if (len > 0)
		p->last = end[-1];
	while (text < end) {
		if (p->matched == IN_LINE) {
			lf = memchr(text, '\n', (size_t)(end - text));
			piece = (size_t)((lf == NULL ? end : lf + 1) - text);
			if (p->sink(p->arg, text, piece) == -1)
				return -1;
			text += piece;
			if (lf != NULL)
				p->matched = 0;
		} else if (*text == from[p->matched]) {
			text++;
			if (++p->matched < FROM_LEN)
				continue;
			p->matched = IN_LINE;
			if (p->sink(p->arg, ">From ", 6) == -1)
				return -1;
		} else if (p->matched == 0 && *text == '>') {
			if (p->sink(p->arg, text++, 1) == -1)
				return -1;
		} else {
			matched = p->matched;
			p->matched = IN_LINE;
			if (p->sink(p->arg, from, (size_t)matched) == -1)
				return -1;
		}
	}
	return 0;
}

/* What the head says in Return-Path: <...>, fit for a "From " line. */
static void
sender_of(const struct mailbox_letter *letter, char sender[SENDER_MAX])
{
	static const char name[] = "Return-Path: <";
	const char *p = letter->head, *end = p + letter->head_len;
	size_t len = 0;

	if (letter->head_len >= sizeof(name) - 1 &&
	    memcmp(p, name, sizeof(name) - 1) == 0)
		for (p += sizeof(name) - 1; p < end && *p != '\n' &&
		    (*p != '>' || p + 1 < end) && len < SENDER_MAX - 1; p++) {
			if (*p == '>' && p[1] == '\n')
				break;
			sender[len++] = isgraph((unsigned char)*p) ? *p : '-';
		}
	sender[len] = '\0';
	if (len == 0)
		strlcpy(sender, "MAILER-DAEMON", SENDER_MAX);
}

static int
print_from(struct printer *p, const struct mailbox_letter *letter)
{
	char sender[SENDER_MAX], date[DATE_MAX];
	char line[sizeof(from) + SENDER_MAX + DATE_MAX];
	struct tm tm;
	int n;

	sender_of(letter, sender);
	/* As asctime(3) has it, in local time, as every program does. */
	if (localtime_r(&letter->arrived, &tm) == NULL ||
	    strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm) == 0)
		strlcpy(date, "Thu Jan  1 00:00:00 1970", sizeof(date));
	n = snprintf(line, sizeof(line), "%s%s %s\n", from, sender, date);
	return p->sink(p->arg, line, (size_t)n);
}

/* As far as the header goes, and what the filter still holds back then. */
static int
print_stored(struct printer *p, const char *text, size_t len)
{
	struct mbox_span span;
	size_t n;

	for (; len > 0 && (p->filter.in_header || p->filter.held_len > 0);
	    text += n, len -= n) {
		n = mbox_filter_take(&p->filter, (const uint8_t *)text, len,
		    &span);
		if (print_quoted(p, (const char *)span.data, span.len) == -1)
			return -1;
	}
	return print_quoted(p, text, len);
}

/* The head is ours, but it is where the header begins. */
static int
print_head(struct printer *p, const struct mailbox_letter *letter)
{
	const char *head = letter->head;
	size_t len = letter->head_len, n;
	struct mbox_span span;

	for (; len > 0; head += n, len -= n)
		n = mbox_filter_take(&p->filter, (const uint8_t *)head, len,
		    &span);
	return p->sink(p->arg, letter->head, letter->head_len);
}

static int
print_content(struct printer *p, const struct mailbox_letter *letter)
{
	static char block[64 * 1024];
	uint64_t at = letter->offset, left = letter->length;
	struct mbox_span span;
	size_t piece;

	for (; left > 0; at += piece, left -= piece) {
		piece = left < sizeof(block) ? (size_t)left : sizeof(block);
		if (io_pread(letter->content, block, piece, at) == -1 ||
		    print_stored(p, block, piece) == -1)
			return -1;
	}
	mbox_filter_end(&p->filter, &span);
	if (print_quoted(p, (const char *)span.data, span.len) == -1)
		return -1;
	if (p->matched > 0)
		return p->sink(p->arg, from, (size_t)p->matched);
	return 0;
}

int
mbox_letter_print(const struct mailbox_letter *letter, unsigned newlines,
    mbox_sink sink, void *arg)
{
	struct printer p = { .sink = sink, .arg = arg, .last = '\n' };

	for (; newlines > 0; newlines--)
		if (sink(arg, "\n", 1) == -1)
			return -1;
	mbox_filter_init_fields(&p.filter);
	if (print_from(&p, letter) == -1 || print_head(&p, letter) == -1 ||
	    print_content(&p, letter) == -1)
		return -1;
	return sink(arg, "\n\n", p.last == '\n' ? 1 : 2);
}
