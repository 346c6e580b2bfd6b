/*
 * mbox_parse: the messages of an mbox, from one reading of the file.
 *
 * Runs in agents, as the user whose mail it is; reads the descriptor it gets.
 * It is read with pread in large blocks and not mapped: another program may
 * shorten the file meanwhile, and a mapping would end us by SIGBUS.
 *
 * A message begins at the start of the file or behind an empty line, with a
 * line that mbox_is_from() takes; empty lines before the first one, which
 * editors and scripts leave there, are no part of any.  There is one
 * exception.  Some programs
 * (mutt among them) do not quote such a line in a body, but say in a
 * Content-Length field where the body ends.  The field is worth trusting only
 * where it is needed and right: at a line that would separate messages, if the
 * field reaches beyond it and lands on another such line or on the end of the
 * file, then the body goes on.  A length that lies lands nowhere and changes
 * nothing; and since deliveries take the field out of letters that come, it is
 * no sender's to choose.
 *
 * In a body only an 'F' at the beginning of a line is looked for, and in the
 * same pass what else the digest would have to look for: a '>' there, and LFs.
 * What may be the empty line before the next message is fed to the digest only
 * when it is clear that it is not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "../wire/scan.h"
#include "mbox_digest.h"

#define BLOCK	(256 * 1024)
/* What stays in the window of the octets before the place looked at. */
#define BEHIND	8

#define PSEUDO_SUBJECT	"DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA"

/* What was found in the header of the message that is being read. */
#define FOUND_SUBJECT	0x1	/* the one above */
#define FOUND_IMAP	0x2	/* X-IMAP or X-IMAPbase */

enum landing { LANDING_UNKNOWN, LANDING_TRUE, LANDING_FALSE };

struct scan {
	int			 fd;
	uint64_t		 size;		/* of the file */
	uint64_t		 start;		/* where the first message is */
	uint64_t		 offset;	/* of window[0] */
	size_t			 len;		/* octets in the window */
	size_t			 at;		/* looked at before here */
	size_t			 fed;		/* digested before here */
	/* messages that were read but for their hash; the next one */
	struct mbox_entry	 entries[MBOX_DIGESTS];
	struct mbox_digest	 digests[MBOX_DIGESTS];
	size_t			 count;
	/* the message that is being read, among those */
	struct mbox_entry	*entry;
	struct mbox_digest	*digest;
	int			 in_header;	/* no empty line yet */
	int			 is_plain;	/* no line from fed to at begins
						 * with '>' */
	size_t			 bare;		/* LFs there without a CR */
	unsigned int		 found;		/* FOUND_ bits */
	uint64_t		 claimed;	/* Content-Length, or 0 */
	uint64_t		 claimed_at;	/* offset of that field */
	uint64_t		 target;	/* where that ends, or 0 */
	enum landing		 landing;	/* is that the end of one? */
};

static uint8_t window[BLOCK];

static int
is_at_end(const struct scan *s)
{
	return s->offset + s->len == s->size;
}

/* Drop what was digested, and read on; -1 with errno. */
static int
refill(struct scan *s)
{
	size_t done = s->fed < s->at ? s->fed : s->at, want;
	ssize_t n;

	if (done > BEHIND) {
		done -= BEHIND;
		s->len -= done;
		memmove(window, window + done, s->len);
		s->offset += done;
		s->at -= done;
		s->fed -= done;
	}
	while (!is_at_end(s) && s->len < BLOCK) {
		want = BLOCK - s->len;
		if (want > s->size - s->offset - s->len)
			want = (size_t)(s->size - s->offset - s->len);
		n = pread(s->fd, window + s->len, want,
		    (off_t)(s->offset + s->len));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENODATA;
		if (n <= 0)
			return -1;
		s->len += (size_t)n;
	}
	return 0;
}

/* The length of the line at p, its LF included. */
static size_t
line_length(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *lf = memchr(p, '\n', (size_t)(end - p));

	return lf == NULL ? (size_t)(end - p) : (size_t)(lf - p) + 1;
}

/* Of the empty line before p: its length, or 0 if there is none. */
static size_t
empty_before(const uint8_t *start, const uint8_t *p)
{
	size_t n = (size_t)(p - start), len;

	if (n == 0 || p[-1] != '\n')
		return 0;
	len = n >= 2 && p[-2] == '\r' ? 2 : 1;
	return n == len || p[-1 - (ssize_t)len] == '\n' ? len : 0;
}

/* Would a message begin at p?  start is the file's or well before p. */
static int
is_border(const uint8_t *start, const uint8_t *p, const uint8_t *end)
{
	return end - p >= 5 && memcmp(p, "From ", 5) == 0 &&
	    empty_before(start, p) > 0 &&
	    mbox_is_from(p, line_length(p, end));
}

/*
 * Is the field in what is a header to all others, too?  Otherwise a delivery
 * has not looked at it, and anybody may have written it.
 */
static int
is_field_of_header(const struct scan *s)
{
	uint8_t text[4096], *p;
	struct mbox_filter filter;
	struct mbox_span span;
	uint64_t at = MBOX_HEADER(s->entry), left;
	ssize_t n;

	mbox_filter_init(&filter);
	for (; at < s->claimed_at && filter.in_header; at += (uint64_t)n) {
		left = s->claimed_at - at;
		n = pread(s->fd, text, left < sizeof(text) ? (size_t)left :
		    sizeof(text), (off_t)at);
		if (n <= 0)
			return 0;
		for (p = text; p < text + n; )
			p += mbox_filter_take(&filter, p, (size_t)(text + n -
			    p), &span);
	}
	return filter.in_header;
}

/* Does the body end where Content-Length says?  Asked once a message. */
static int
has_landed(struct scan *s)
{
	uint8_t around[BEHIND + 2 + MBOX_FROM_MAX];
	size_t before = s->target < BEHIND ? (size_t)s->target : BEHIND, len;
	const uint8_t *p = around + before, *end;
	ssize_t n;

	if (s->landing != LANDING_UNKNOWN)
		return s->landing == LANDING_TRUE;
	s->landing = LANDING_FALSE;
	if (s->target > s->size || !is_field_of_header(s))
		return 0;
	n = pread(s->fd, around, sizeof(around),
	    (off_t)(s->target - before));
	if (n == -1 || (size_t)n < before || p[-1] != '\n')
		return 0;
	end = around + n;
	len = line_length(p, end);
	if (len == 1 || (len == 2 && p[0] == '\r'))
		p += len;
	if ((p == end && s->target + 2 >= s->size) ||
	    is_border(around, p, end))
		s->landing = LANDING_TRUE;
	return s->landing == LANDING_TRUE;
}

/* The value of a field of that name that begins at p, or NULL. */
static const uint8_t *
field_value(const uint8_t *p, const uint8_t *end, const char *name)
{
	size_t len = strlen(name);

	if ((size_t)(end - p) <= len || p[len] != ':' ||
	    strncasecmp((const char *)p, name, len) != 0)
		return NULL;
	for (p += len + 1; p < end && (*p == ' ' || *p == '\t'); p++)
		;
	return p;
}

static uint64_t
claimed_length(const uint8_t *p, const uint8_t *end)
{
	uint64_t n = 0;

	if (p == end || *p < '0' || *p > '9')
		return 0;
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (n > INT64_MAX / 10 - 10)
			return 0;
		n = n * 10 + *p - '0';
	}
	return p < end && (*p == '\n' || *p == '\r') ? n : 0;
}

/* A line of a header, as much of it as is in the window. */
static void
look_at_field(struct scan *s, const uint8_t *p, const uint8_t *end)
{
	const uint8_t *value;

	switch (*p) {
	case 'C':
	case 'c':
		value = field_value(p, end, "Content-Length");
		if (value != NULL) {
			s->claimed = claimed_length(value, end);
			s->claimed_at = s->offset + (uint64_t)(p - window);
		}
		break;
	case 'S':
	case 's':
		value = field_value(p, end, "Subject");
		if (value != NULL && (size_t)(end - value) >=
		    sizeof(PSEUDO_SUBJECT) && memcmp(value, PSEUDO_SUBJECT,
		    sizeof(PSEUDO_SUBJECT) - 1) == 0)
			s->found |= FOUND_SUBJECT;
		break;
	case 'X':
	case 'x':
		if (field_value(p, end, "X-IMAP") != NULL ||
		    field_value(p, end, "X-IMAPbase") != NULL)
			s->found |= FOUND_IMAP;
		break;
	default:
		break;
	}
}

/* The lines of the header that begin before limit. */
static const uint8_t *
look_at_header(struct scan *s, const uint8_t *p, const uint8_t *limit)
{
	const uint8_t *end = window + s->len;
	size_t len;

	for (; p < limit && s->in_header; p += len) {
		len = line_length(p, end);
		/* The rest of a line that is longer than the window. */
		if (p > window && p[-1] != '\n')
			continue;
		look_at_field(s, p, p + len);
		if (len > 2 || (len == 2 && p[0] != '\r') || p[len - 1] != '\n')
			continue;
		s->in_header = 0;
		if (s->claimed > 0)
			s->target = s->offset + (uint64_t)(p - window) + len +
			    s->claimed;
	}
	return p < limit ? p : limit;
}

static void
feed_until(struct scan *s, size_t to)
{
	size_t after;

	if (to <= s->fed)
		return;
	if (s->is_plain) {
		after = scan_count_bare(window + to, window + s->at, '\r',
		    '\n');
		mbox_digest_feed_plain(s->digest, window + s->fed, to - s->fed,
		    s->bare - after);
		s->bare = after;
	} else
		mbox_digest_feed(s->digest, window + s->fed, to - s->fed);
	s->fed = to;
}

/*
 * A body begins there, behind an empty line; but if the header has ended before
 * that, by no field, the empty line may be that before the next message.
 */
static void
begin_body(struct scan *s, const uint8_t *p)
{
	feed_until(s, (size_t)(p - window) - empty_before(window, p));
	if (mbox_digest_has_body(s->digest))
		return;
	feed_until(s, (size_t)(p - window));
	s->is_plain = mbox_digest_is_plain(s->digest);
	s->bare = 0;
}

/* Where the next message begins, or limit. */
static const uint8_t *
find_border(struct scan *s, const uint8_t *limit)
{
	const uint8_t *end = window + s->len, *p = window + s->at;

	if (s->in_header) {
		p = look_at_header(s, p, limit);
		if (!s->in_header && p < limit)
			begin_body(s, p);
	}
	/* A '>' is worth stopping for once; then the digest looks itself. */
	while ((p = scan_lines(p, limit, 'F', s->is_plain ? '>' : 'F',
	    &s->bare)) != NULL) {
		if (*p == '>')
			s->is_plain = 0;
		else if (is_border(window, p, end) &&
		    (s->offset + (uint64_t)(p - window) >= s->target ||
		    !has_landed(s)))
			return p;
		p++;
	}
	return limit;
}

/* The "From " line is at s->at. */
static void
begin_message(struct scan *s)
{
	const uint8_t *p = window + s->at;
	size_t len = line_length(p, window + s->len);

	s->entry = &s->entries[s->count];
	s->digest = &s->digests[s->count];
	memset(s->entry, 0, sizeof(*s->entry));
	s->entry->from = s->offset + s->at;
	s->entry->from_len = (uint16_t)len;
	mbox_digest_begin(s->digest, p, len);
	s->at += len;
	s->fed = s->at;
	s->in_header = 1;
	s->is_plain = 0;
	s->found = 0;
	s->claimed = s->target = 0;
	s->landing = LANDING_UNKNOWN;
}

/*
 * The message ends before s->at.  The empty line there is none of its own,
 * unless it is what ends the header.
 */
static void
end_message(struct scan *s)
{
	size_t empty;

	empty = empty_before(window, window + s->at);
	if (empty > s->at - s->fed)
		empty = 0;
	feed_until(s, s->at - empty);
	if (!mbox_digest_has_body(s->digest)) {
		feed_until(s, s->at);
		empty = 0;
	}
	s->entry->space = s->offset + s->at - s->entry->from;
	s->entry->length = s->entry->space - s->entry->from_len - empty;
	mbox_digest_end(s->digest, s->entry);
}

/* Is it what some programs keep their own numbers in, and hide? */
static int
is_pseudo(const struct scan *s)
{
	return s->entry->from == s->start &&
	    s->found == (FOUND_SUBJECT | FOUND_IMAP);
}

/* Read to the end of a message; -1 with errno. */
static int
read_message(struct scan *s)
{
	const uint8_t *limit, *border;
	size_t keep;

	begin_message(s);
	for (;;) {
		/* A line that begins before the limit is there as a whole,
		 * if it is a "From " line. */
		keep = is_at_end(s) ? 0 : MBOX_FROM_MAX;
		limit = window + s->len - keep;
		if (limit > window + s->at) {
			border = find_border(s, limit);
			s->at = (size_t)(border - window);
			if (border < limit)
				break;
		}
		if (is_at_end(s))
			break;
		if (s->at > s->fed + BEHIND)
			feed_until(s, s->at - BEHIND / 2);
		if (refill(s) == -1)
			return -1;
	}
	end_message(s);
	return 0;
}

/* Hash what was read, and give it to whom it is for. */
static int
give_all(struct scan *s, mbox_found found, void *arg)
{
	size_t i;
	int r = 0;

	mbox_digest_hash(s->digests, s->entries, s->count);
	for (i = 0; i < s->count && r == 0; i++)
		r = found(arg, &s->entries[i]);
	s->count = 0;
	return r;
}

/* To the beginning of the first message that is read. */
static int
find_start(struct scan *s)
{
	const uint8_t *p;

	for (;;) {
		/* The whole of the next line. */
		if (s->len - s->at < MBOX_FROM_MAX && refill(s) == -1)
			return -1;
		p = window + s->at;
		s->start = s->offset + s->at;
		if (s->start < s->size && *p == '\n')
			s->at++;
		else if (s->size - s->start >= 2 && p[0] == '\r' &&
		    p[1] == '\n')
			s->at += 2;
		else
			return 0;
		s->fed = s->at;
	}
}

int
mbox_scan(int fd, uint64_t from, uint64_t size, uint64_t *first,
    mbox_found found, void *arg)
{
	static struct scan s;
	int r;

	s.fd = fd;
	s.size = size;
	s.offset = from;
	s.len = s.at = s.fed = s.count = 0;
	*first = from;
	if (find_start(&s) == -1)
		return -1;
	*first = s.start;
	if (s.start == size)
		return 0;
	if (!mbox_is_from(window + s.at, line_length(window + s.at,
	    window + s.len))) {
		errno = EBADMSG;
		return -1;
	}
	do {
		/* The whole of the next line, to begin with. */
		if (s.len - s.at < MBOX_FROM_MAX && refill(&s) == -1)
			return -1;
		if (read_message(&s) == -1)
			return -1;
		if (is_pseudo(&s))
			*first = s.entry->from + s.entry->space;
		else if (++s.count == MBOX_DIGESTS &&
		    (r = give_all(&s, found, arg)) != 0)
			return r;
	} while (s.offset + s.at < size);
	return give_all(&s, found, arg);
}
