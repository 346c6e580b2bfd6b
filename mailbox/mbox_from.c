/*
 * mbox_from: is a line one that separates the messages of an mbox?
 *
 * Runs in agents, as the user whose mail it is; a pure function of a line that
 * anybody may have written.
 *
 * "From ", who sent it, and when, as asctime(3) writes it:
 *
 *	From alice@example.org Mon Nov 23 04:46:20 2026
 *
 * Programs write the sender with blanks, in quotes, or not at all; leave out
 * the seconds; put one or two names of time zones, or an offset, before or
 * behind the year; write the date as in a Date field; add "remote from HOST".
 * All of this is taken.  What does not end in a whole date is text: "From here
 * on we walk" separates nothing.
 */
#include <ctype.h>
#include <string.h>

#include "../wire/scan.h"
#include "mbox.h"

#define WORDS_MAX	12	/* of a date and what may follow */

struct word {
	const char	*text;
	size_t		 len;
};

/* The words of a date, and the next one to look at. */
struct words {
	struct word	 word[WORDS_MAX];
	size_t		 count;
	size_t		 next;
};

static int
is_digits(const struct word *w, size_t from, size_t to)
{
	for (; from < to; from++)
		if (w->text[from] < '0' || w->text[from] > '9')
			return 0;
	return 1;
}

static int
number(const struct word *w, size_t from, size_t to)
{
	int n = 0;

	for (; from < to; from++)
		n = n * 10 + w->text[from] - '0';
	return n;
}

/* Are these three letters the same?  Cheaper than a call of strncasecmp. */
static int
is_name(const char *p, const char *name)
{
	return (p[0] | 0x20) == (name[0] | 0x20) &&
	    (p[1] | 0x20) == (name[1] | 0x20) &&
	    (p[2] | 0x20) == (name[2] | 0x20);
}

/* One of the names of three letters that stand in a row, a comma behind it. */
static int
is_one_of(const struct word *w, const char *names, int may_have_comma)
{
	size_t len = w->len;

	if (may_have_comma && len == 4 && w->text[3] == ',')
		len--;
	if (len != 3)
		return 0;
	for (; *names != '\0'; names += 3)
		if (is_name(w->text, names))
			return 1;
	return 0;
}

static int
is_weekday(const struct word *w)
{
	return is_one_of(w, "MonTueWedThuFriSatSun", 1);
}

static int
is_month(const struct word *w)
{
	return is_one_of(w, "JanFebMarAprMayJunJulAugSepOctNovDec", 0);
}

static int
is_day(const struct word *w)
{
	return (w->len == 1 || w->len == 2) && is_digits(w, 0, w->len) &&
	    number(w, 0, w->len) >= 1 && number(w, 0, w->len) <= 31;
}

/* H:MM, HH:MM or the same with :SS. */
static int
is_time(const struct word *w)
{
	size_t hours = w->len >= 2 && w->text[1] == ':' ? 1 : 2;

	if ((w->len != hours + 3 && w->len != hours + 6) ||
	    w->text[hours] != ':' || !is_digits(w, 0, hours) ||
	    !is_digits(w, hours + 1, hours + 3) ||
	    number(w, 0, hours) > 23 ||
	    number(w, hours + 1, hours + 3) > 59)
		return 0;
	return w->len == hours + 3 || (w->text[hours + 3] == ':' &&
	    is_digits(w, hours + 4, hours + 6) &&
	    number(w, hours + 4, hours + 6) <= 60);
}

static int
is_year(const struct word *w)
{
	return w->len == 4 && is_digits(w, 0, 4) && number(w, 0, 4) >= 1900;
}

/* "CET", "MET", "GMT+1", "+0100" */
static int
is_zone(const struct word *w)
{
	size_t i = 0;

	if (w->len > 5)
		return 0;
	while (i < w->len && isascii((unsigned char)w->text[i]) &&
	    isalpha((unsigned char)w->text[i]))
		i++;
	if (i == w->len)
		return i >= 1;
	if (w->text[i] != '+' && w->text[i] != '-')
		return 0;
	return w->len - i >= 2 && is_digits(w, i + 1, w->len);
}

typedef int (*is_kind)(const struct word *);

/* Go over the next word if it is of that kind. */
static int
take(struct words *w, is_kind kind)
{
	if (w->next == w->count || !kind(&w->word[w->next]))
		return 0;
	w->next++;
	return 1;
}

/* Month, day, time, year, with zones before or behind the year. */
static int
is_asctime(struct words *w)
{
	if (!take(w, is_month) || !take(w, is_day) || !take(w, is_time))
		return 0;
	if (take(w, is_zone))
		(void)take(w, is_zone);
	if (!take(w, is_year))
		return 0;
	(void)take(w, is_zone);
	return 1;
}

/* Day, month, year, time, zones: a Date field's. */
static int
is_date_field(struct words *w)
{
	if (!take(w, is_day) || !take(w, is_month) || !take(w, is_year) ||
	    !take(w, is_time))
		return 0;
	if (take(w, is_zone))
		(void)take(w, is_zone);
	return 1;
}

static int
is_word(const struct word *w, const char *text)
{
	return w->len == strlen(text) && memcmp(w->text, text, w->len) == 0;
}

/* Nothing more, or "remote from HOST" (UUCP). */
static int
is_over(const struct words *w)
{
	if (w->next == w->count)
		return 1;
	return w->count - w->next == 3 &&
	    is_word(&w->word[w->next], "remote") &&
	    is_word(&w->word[w->next + 1], "from");
}

/* Split at blanks; 0 if these are more words than any date has. */
static int
split(struct words *w, const char *p, const char *end)
{
	const char *start;

	w->count = w->next = 0;
	for (;;) {
		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		if (p == end)
			return 1;
		if (w->count == WORDS_MAX)
			return 0;
		start = p;
		while (p < end && *p != ' ' && *p != '\t')
			p++;
		w->word[w->count].text = start;
		w->word[w->count++].len = (size_t)(p - start);
	}
}

/* From here to the end of the line: weekday, and one of both forms. */
static int
is_date(const char *p, const char *end)
{
	struct words w;

	if (!split(&w, p, end) || !take(&w, is_weekday))
		return 0;
	if (!is_asctime(&w)) {
		w.next = 1;
		if (!is_date_field(&w))
			return 0;
	}
	return is_over(&w);
}

/* Most words don't, and need no more looking at. */
static int
begins_with_weekday(const char *p, const char *end)
{
	struct word w = { p, 3 };

	return end - p >= 3 && is_weekday(&w);
}

static int
has_control(const uint8_t *p, const uint8_t *end)
{
	scan_octets v;

	for (; end - p >= SCAN_STEP; p += SCAN_STEP) {
		v = scan_load(p);
		if (scan_has((scan_octets)(((v < 0x20) & (v != '\t')) |
		    (v == 0x7f))))
			return 1;
	}
	for (; p < end; p++)
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			return 1;
	return 0;
}

int
mbox_is_from(const uint8_t *line, size_t len)
{
	const char *p = (const char *)line, *end = p + len;

	if (len > 0 && end[-1] == '\n')
		end--;
	if (end > p && end[-1] == '\r')
		end--;
	if (len > MBOX_FROM_MAX || end - p < 5 ||
	    memcmp(p, "From ", 5) != 0 ||
	    has_control(line, line + (end - p)))
		return 0;
	/* Where the sender ends, only the date tells. */
	for (p += 4; p + 4 < end; p++)
		if ((*p == ' ' || *p == '\t') &&
		    begins_with_weekday(p + 1, end) && is_date(p + 1, end))
			return 1;
	return 0;
}
