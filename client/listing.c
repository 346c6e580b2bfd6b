/*
 * listing: the pages of the queue's answers.
 *
 * Runs in postern and in sendmail, as whoever called it; touches the queue's
 * socket, a file without a name, and standard output.
 */
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "fail.h"
#include "listing.h"

#define PIECE	65536

/* Where we are in the row of records. */
struct place_in_row {
	uint32_t	left;		/* recipients of this letter */
	uint32_t	index;
	int		is_known;	/* this letter was shown before */
};

void
listing_open(struct listing *l, struct talk *talk,
    const struct printer *printer)
{
	memset(l, 0, sizeof(*l));
	l->talk = talk;
	l->printer = printer;
	l->out = tmpfile();
	if (l->out == NULL)
		fail(EX_OSERR, "no room for the listing: %s",
		    strerror(errno));
	printer->begin(l->out);
}

static void
end_letter(struct listing *l, const struct place_in_row *p)
{
	if (p->left == 0 && !p->is_known)
		l->printer->letter_end(l->out);
}

static void
take_letter(struct listing *l, struct message *m, struct place_in_row *p)
{
	struct letter_record r;

	get_letter_record(m, &r);
	if (m->bad || p->left != 0)
		fail(EX_PROTOCOL, "the mail server is not understood");
	p->left = r.recipients;
	p->index = 0;
	p->is_known = seen_add(&l->seen, r.id);
	if (!p->is_known) {
		l->printer->letter(l->out, &r, l->letters++);
		l->octets += r.size;
	}
	end_letter(l, p);
}

static void
take_recipient(struct listing *l, struct message *m, struct place_in_row *p)
{
	struct recipient_record r;

	get_recipient_record(m, &r);
	if (m->bad || p->left == 0)
		fail(EX_PROTOCOL, "the mail server is not understood");
	p->left--;
	if (!p->is_known)
		l->printer->recipient(l->out, &r, p->index++);
	end_letter(l, p);
}

/* The records of a page; then what the page says of further ones. */
static uint32_t
take_page(struct listing *l, struct message *m, struct place_in_row *p)
{
	uint32_t kind, page;

	while ((kind = get_u32(m)) == RECORD_LETTER ||
	    kind == RECORD_RECIPIENT) {
		if (kind == RECORD_LETTER)
			take_letter(l, m, p);
		else
			take_recipient(l, m, p);
	}
	page = get_u32(m);
	if (kind != 0)
		m->bad = 1;
	talk_end(m);
	return page;
}

size_t
listing_add(struct listing *l, const struct selection *s)
{
	const size_t before = l->letters;
	struct place_in_row p = { 0, 0, 0 };
	struct message request, reply;
	uint32_t page;

	message_begin(&request, REQ_LIST);
	put_selection(&request, s);
	talk_ask(l->talk, &request, REPLY_RECORDS, &reply);
	while ((page = take_page(l, &reply, &p)) == PAGE_MORE)
		talk_next(l->talk, REPLY_RECORDS, &reply);
	l->is_partial |= page == PAGE_FAULT;
	seen_clear(&l->seen);
	return l->letters - before;
}

static void
copy(FILE *from)
{
	static char piece[PIECE];
	size_t n;

	while ((n = fread(piece, 1, sizeof(piece), from)) > 0)
		if (fwrite(piece, 1, n, stdout) != n)
			break;
}

void
listing_copy(FILE *from, int is_clean)
{

	if (fflush(from) == EOF || ferror(from))
		fail(EX_IOERR, "no room for the listing: %s",
		    strerror(errno));
	rewind(from);
	if (is_clean || !isatty(STDOUT_FILENO))
		copy(from);
	else
		print_content(stdout, from);
	if (ferror(from) || fflush(stdout) == EOF || ferror(stdout))
		fail(EX_IOERR, "standard output: %s", strerror(errno));
}

int
listing_close(struct listing *l)
{
	l->printer->end(l->out, l->letters, l->octets);
	listing_copy(l->out, 1);
	fclose(l->out);
	if (!l->is_partial)
		return EX_OK;
	complain("not all letters could be read; the log says why");
	return EX_IOERR;
}

int
listing_content(struct talk *t, const char *id, FILE *out)
{
	static char piece[MESSAGE_MAX];
	struct message request, reply;
	uint32_t page;
	uint64_t total = 0;
	size_t len;

	message_begin(&request, REQ_CONTENT);
	put_str(&request, id);
	talk_ask(t, &request, REPLY_CONTENT, &reply);
	for (;;) {
		get_data(&reply, piece, sizeof(piece), &len);
		page = get_u32(&reply);
		talk_end(&reply);
		if (fwrite(piece, 1, len, out) != len)
			fail(EX_IOERR, "no room for the letter: %s",
			    strerror(errno));
		total += len;
		if (page == PAGE_FAULT)
			fail(EX_IOERR, "%s could not be read", id);
		if (page != PAGE_MORE)
			return total > 0;
		talk_next(t, REPLY_CONTENT, &reply);
	}
}
