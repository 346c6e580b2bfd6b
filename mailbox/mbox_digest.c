/*
 * mbox_digest: the size of a message of an mbox on the wire, and the hash that
 * names it.
 *
 * Runs in agents, as the user whose mail it is; reads the descriptor it gets.
 *
 * The hash is over the "From " line, the header as a client sees it, the size
 * on the wire, and the first octets of the body: what two messages do not have
 * in common, and what other programs leave alone when they rewrite an mbox.
 * Its line end is the only octet of a body that may come or go, when a program
 * finds that the last message of the file lacks one.
 *
 * Most of the time to open a maildrop of small messages would go into SHA-256.
 * So that is for the beginning of the header only, where the host that took
 * the letter has put the id that no sender can choose; of the rest of it and
 * of the body a sum (mbox_sum.c) is hashed.
 *
 * Who changes what is hashed changes the UIDLs of all messages, and clients
 * get all of them once more.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mbox_digest.h"
#include "sha256.h"

#define BODY_SUMMED	1024	/* octets of the body, at most */
#define BLOCK		(64 * 1024)

static void
add_to_text(struct mbox_digest *d, const void *p, size_t len)
{
	memcpy(d->text + d->text_len, p, len);
	d->text_len += len;
}

void
mbox_digest_begin(struct mbox_digest *d, const uint8_t *from, size_t len)
{
	if (len > 0 && from[len - 1] == '\n')
		len--;
	if (len > 0 && from[len - 1] == '\r')
		len--;
	mbox_filter_init(&d->filter);
	octets_init(&d->octets);
	d->sum = MBOX_SUM_START;
	d->header = d->body = d->text_len = d->rest_len = 0;
	add_to_text(d, from, len);
	add_to_text(d, "\n", 1);
}

/* It is summed up later, unless it is too much. */
static void
add_to_rest(struct mbox_digest *d, const void *p, size_t len)
{
	if (len > sizeof(d->rest) - d->rest_len) {
		d->sum = mbox_sum(d->sum, d->rest, d->rest_len);
		d->rest_len = 0;
	}
	if (len > sizeof(d->rest)) {
		d->sum = mbox_sum(d->sum, p, len);
		return;
	}
	memcpy(d->rest + d->rest_len, p, len);
	d->rest_len += len;
}

/* Of a body only the beginning is summed. */
static void
add_body(struct mbox_digest *d, const uint8_t *p, size_t len)
{
	size_t n = BODY_SUMMED - d->body;

	if (n > len)
		n = len;
	add_to_rest(d, p, n);
	d->body += n;
}

/* What a client sees; it is counted elsewhere. */
static void
name_span(struct mbox_digest *d, const struct mbox_span *span)
{
	const uint8_t *p = span->data;
	size_t len = span->len, n;

	if (len == 0)
		return;
	if (span->is_body) {
		add_body(d, p, len);
		return;
	}
	n = MBOX_HEADER_HASHED - d->header;
	if (n > len)
		n = len;
	add_to_text(d, p, n);
	d->header += n;
	add_to_rest(d, p + n, len - n);
}

void
mbox_digest_feed(struct mbox_digest *d, const uint8_t *p, size_t len)
{
	struct mbox_span span;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = mbox_filter_take(&d->filter, p, len, &span);
		octets_count(&d->octets, span.data, span.len);
		name_span(d, &span);
	}
}

int
mbox_digest_is_plain(const struct mbox_digest *d)
{
	return mbox_filter_is_plain(&d->filter) &&
	    d->octets.header == HEADER_ENDED;
}

void
mbox_digest_feed_plain(struct mbox_digest *d, const uint8_t *p, size_t len,
    size_t bare)
{
	if (len == 0)
		return;
	mbox_filter_passed(&d->filter, p[len - 1]);
	d->octets.count += len + bare;
	d->octets.last = p[len - 1];
	add_body(d, p, len);
}

int
mbox_digest_has_body(const struct mbox_digest *d)
{
	return !d->filter.in_header;
}

/* Count what the filter still holds back. */
static void
count_held(struct mbox_digest *d)
{
	struct mbox_filter filter = d->filter;
	struct mbox_span span;

	mbox_filter_end(&filter, &span);
	octets_count(&d->octets, span.data, span.len);
}

/*
 * A message that is all header, or not even that, may lack the end of its last
 * line, or the empty line.  Whoever delivers the next one puts them there.
 */
static void
name_missing(struct mbox_digest *d)
{
	struct mbox_span span;
	size_t n;

	while (d->filter.in_header)
		do {
			n = mbox_filter_take(&d->filter,
			    (const uint8_t *)"\n", 1, &span);
			name_span(d, &span);
		} while (n == 0);
}

void
mbox_digest_end(struct mbox_digest *d, struct mbox_entry *entry)
{
	struct mbox_span span;
	int is_all_header;

	count_held(d);
	is_all_header = d->filter.in_header;
	if (is_all_header)
		name_missing(d);
	mbox_filter_end(&d->filter, &span);
	name_span(d, &span);
	if (!is_all_header && d->body < BODY_SUMMED && d->octets.last != '\n')
		add_to_rest(d, "\n", 1);
	entry->octets = octets_total(&d->octets);
	/* So nothing but a "From " line is an empty line, too. */
	if (entry->octets == 0)
		entry->octets = 2;
}

static void
hash_one(struct mbox_digest *d, struct mbox_entry *entry)
{
	uint8_t digest[SHA256_SIZE], last[16];
	size_t i;

	for (i = 0; i < 8; i++) {
		last[i] = (uint8_t)(entry->octets >> (8 * i));
		last[8 + i] = (uint8_t)(d->sum >> (8 * i));
	}
	add_to_text(d, last, sizeof(last));
	sha256(d->text, d->text_len, digest);
	memcpy(entry->hash, digest, MBOX_HASH_SIZE);
}

void
mbox_digest_hash(struct mbox_digest *digests, struct mbox_entry *entries,
    size_t count)
{
	struct mbox_summed summed[MBOX_DIGESTS];
	size_t i;

	for (i = 0; i < count; i++) {
		summed[i].p = digests[i].rest;
		summed[i].len = digests[i].rest_len;
		summed[i].sum = &digests[i].sum;
	}
	mbox_sum_all(summed, count);
	for (i = 0; i < count; i++)
		hash_one(&digests[i], &entries[i]);
}

static ssize_t
read_at(int fd, uint8_t *p, size_t len, uint64_t offset)
{
	ssize_t n;

	do
		n = pread(fd, p, len, (off_t)offset);
	while (n == -1 && errno == EINTR);
	return n;
}

/* Does what comes behind the content separate it from what follows? */
static int
ends_there(int fd, uint64_t offset)
{
	uint8_t line[2 + MBOX_FROM_MAX], *p = line, *lf;
	ssize_t n = read_at(fd, line, sizeof(line), offset);
	size_t len;

	if (n == -1)
		return 0;
	len = (size_t)n;
	if (len >= 2 && p[0] == '\r' && p[1] == '\n') {
		p += 2;
		len -= 2;
	} else if (len >= 1 && p[0] == '\n') {
		p++;
		len--;
	}
	if (len == 0)
		return 1;
	lf = memchr(p, '\n', len);
	return mbox_is_from(p, lf == NULL ? len : (size_t)(lf - p) + 1);
}

int
mbox_entry_is_intact(int fd, const struct mbox_entry *entry)
{
	static uint8_t block[BLOCK];
	uint64_t at = MBOX_HEADER(entry), left = entry->length;
	struct mbox_entry now = { .octets = 0 };
	static struct mbox_digest d;
	ssize_t n;

	n = read_at(fd, block, entry->from_len, entry->from);
	if (n != entry->from_len ||
	    !mbox_is_from(block, entry->from_len) ||
	    (left > 0 && block[n - 1] != '\n'))
		return 0;
	mbox_digest_begin(&d, block, entry->from_len);
	for (; left > 0; at += (uint64_t)n, left -= (uint64_t)n) {
		n = read_at(fd, block, left < BLOCK ? (size_t)left : BLOCK,
		    at);
		if (n <= 0)
			return 0;
		mbox_digest_feed(&d, block, (size_t)n);
	}
	mbox_digest_end(&d, &now);
	mbox_digest_hash(&d, &now, 1);
	return now.octets == entry->octets &&
	    memcmp(now.hash, entry->hash, MBOX_HASH_SIZE) == 0 &&
	    ends_there(fd, at);
}
