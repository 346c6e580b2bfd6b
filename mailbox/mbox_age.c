/*
 * mbox_age: when was a message of an mbox delivered?
 *
 * Runs in agents, as the user whose mail it is; reads the mbox that is open.
 *
 * Its "From " line says when, in the zone of whoever wrote it, which it
 * mostly does not say.  So only the day is taken, and the last moment at which
 * that day was over anywhere.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "mbox.h"

#define DAY		86400
#define WORD_SIZE	6	/* of those of a date that matter, with NUL */

/* What of the line is still to be looked at, from its end. */
struct backwards {
	const char	*start, *end;
};

/* The word before; 0 at the beginning of the line. */
static int
previous_word(struct backwards *b, char word[WORD_SIZE])
{
	const char *end;
	size_t len;

	while (b->end > b->start && (b->end[-1] == ' ' || b->end[-1] == '\t'))
		b->end--;
	for (end = b->end; b->end > b->start && b->end[-1] != ' ' &&
	    b->end[-1] != '\t'; b->end--)
		;
	len = (size_t)(end - b->end);
	/* What is too long is none of those that we look for. */
	if (len >= WORD_SIZE)
		len = 0;
	memcpy(word, b->end, len);
	word[len] = '\0';
	return end > b->start;
}

/* A decimal number of from to to digits and nothing else, or -1. */
static int
number(const char *word, size_t from, size_t to)
{
	size_t i, len = strlen(word);
	int n = 0;

	if (len < from || len > to)
		return -1;
	for (i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '9')
			return -1;
		n = n * 10 + word[i] - '0';
	}
	return n;
}

/* 0 to 11, or -1. */
static int
month(const char *word)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int i;

	if (strlen(word) != 3)
		return -1;
	for (i = 0; i < 12; i++)
		if (strncasecmp(word, names + 3 * i, 3) == 0)
			return i;
	return -1;
}

/*
 * Backwards both forms of a date have a year, then a month, and the day is
 * beside the month: Nov 23 04:46:20 2026, or 23 Nov 2026 04:46:20.
 */
int
mbox_is_before(const uint8_t *line, size_t len, time_t than)
{
	struct backwards b = { (const char *)line, (const char *)line + len };
	struct tm tm = { .tm_isdst = 0 };
	char word[WORD_SIZE], before[WORD_SIZE] = "";
	int year = -1, day = -1;

	if (!mbox_is_from(line, len))
		return 0;
	while (b.end > b.start && isspace((unsigned char)b.end[-1]))
		b.end--;
	while (previous_word(&b, word)) {
		if (year == -1)
			year = number(word, 4, 4);
		else if ((tm.tm_mon = month(word)) != -1) {
			day = number(before, 1, 2);
			if (day == -1 && previous_word(&b, word))
				day = number(word, 1, 2);
			break;
		}
		memcpy(before, word, sizeof(before));
	}
	if (year == -1 || day == -1)
		return 0;
	tm.tm_year = year - 1900;
	tm.tm_mday = day + 2;
	return timegm(&tm) <= than;
}

/* Does the line that is there now say so? */
static int
says_older(int fd, uint64_t offset, size_t len, time_t than)
{
	uint8_t line[MBOX_FROM_MAX];
	ssize_t n;

	if (len > sizeof(line))
		return 0;
	n = pread(fd, line, len, (off_t)offset);
	return n >= 0 && (size_t)n == len && mbox_is_before(line, len, than);
}

/*
 * Only of what seems to be old it is made sure, which costs a reading of the
 * message, that the line is its own.
 */
int
mbox_is_older(struct mailbox *mb, size_t which, time_t than)
{
	const struct mbox_entry *entry = &mb->index.entries[which];
	uint64_t offset, length;
	int fd, r;

	if ((entry->flags & MBOX_GONE) != 0 ||
	    !says_older(mb->reader, entry->from, entry->from_len, than) ||
	    mbox_ops.fetch(mb, which, &fd, &offset, &length) == -1)
		return 0;
	/* It may have been found elsewhere. */
	r = says_older(fd, entry->from, entry->from_len, than);
	close(fd);
	return r;
}
