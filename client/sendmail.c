/*
 * sendmail: takes a message from a program of this host, as every Unix program
 * knows how to give one, and hands it to smtpd.
 *
 * Runs as whoever called it and has no rights of its own: nothing is set-id.
 * Touches standard input and output, the server's socket, and its
 * configuration; who is calling says the kernel to the server.
 *
 * A message is for all of its recipients or for none: if the server refuses
 * one, nothing was sent, and the caller is told.
 */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "fail.h"
#include "from.h"
#include "letter.h"
#include "listing.h"
#include "newaliases.h"
#include "options.h"
#include "place.h"
#include "recipients.h"
#include "standard.h"
#include "submission.h"

#define ADDRESS_ROOM	640	/* octets of a printed address */
#define PIECE		65536	/* octets of content at a time */

/* What all steps need. */
struct sendmail {
	struct options		 options;
	struct place		 place;
	struct recipients	 recipients;
	struct letter		 letter;
	struct submission	 server;
	char			 sender[ADDRESS_ROOM];	/* "": the null one */
	char			 author[ADDRESS_ROOM];
};

static void
add_list(struct recipients *list, const char *text, size_t len)
{
	char where[RECIPIENTS_WHERE_MAX];

	switch (recipients_add(list, text, len, where)) {
	case RECIPIENTS_OK:
		break;
	case RECIPIENTS_SYNTAX:
		fail(EX_USAGE, "not an address: %s", where);
	case RECIPIENTS_TOO_MANY:
		fail(EX_USAGE, "over %d recipients", RECIPIENTS_LIMIT);
	case RECIPIENTS_ERROR:
		fail(EX_OSERR, "%s", strerror(errno));
	}
}

static void
add_arguments(struct sendmail *s)
{
	char **p;

	for (p = s->options.recipients; *p != NULL; p++)
		add_list(&s->recipients, *p, strlen(*p));
}

static void
add_header(struct sendmail *s)
{
	char where[RECIPIENTS_WHERE_MAX];

	switch (letter_recipients(s->letter.header, s->letter.header_len,
	    &s->recipients, where)) {
	case RECIPIENTS_OK:
		break;
	case RECIPIENTS_SYNTAX:
		fail(EX_DATAERR, "not an address in the header: %s", where);
	case RECIPIENTS_TOO_MANY:
		fail(EX_DATAERR, "over %d recipients", RECIPIENTS_LIMIT);
	case RECIPIENTS_ERROR:
		fail(EX_OSERR, "%s", strerror(errno));
	}
}

/* A printed address, with the domain of this host if it has none. */
static void
qualify(const struct sendmail *s, char dst[ADDRESS_ROOM], const char *name)
{
	const char *quote = strrchr(name, '"');
	const char *domain = s->place.domain[0] != '\0' ? s->place.domain :
	    s->server.host;
	int n;

	if (strchr(name[0] == '"' && quote != NULL ? quote : name, '@') !=
	    NULL)
		n = snprintf(dst, ADDRESS_ROOM, "%s", name);
	else
		n = snprintf(dst, ADDRESS_ROOM, "%s@%s", name, domain);
	if (n < 0 || n >= ADDRESS_ROOM)
		fail(EX_USAGE, "an address is too long: %s", name);
}

static const struct passwd *
caller(void)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwuid(getuid());
	if (pw == NULL)
		fail(errno == 0 ? EX_NOUSER : EX_OSERR, "who is user %u?",
		    (unsigned int)getuid());
	return pw;
}

/* Whom the message is from: -f, or who calls. */
static void
set_sender(struct sendmail *s)
{
	const char *given = s->options.sender;
	struct recipients list = { .count = 0 };

	if (given == NULL) {
		qualify(s, s->sender, caller()->pw_name);
	} else if (given[0] != '\0' && strcmp(given, "<>") != 0) {
		add_list(&list, given, strlen(given));
		if (list.count != 1)
			fail(EX_USAGE, "not one sender: %s", given);
		qualify(s, s->sender, list.names[0]);
		recipients_free(&list);
	}
	if (s->sender[0] != '\0')
		strlcpy(s->author, s->sender, sizeof(s->author));
	else if (!s->letter.has_from)
		qualify(s, s->author, caller()->pw_name);
}

/* -F, or else the account's name: what is before the first comma. */
static void
set_name(const struct sendmail *s, char *name, size_t size)
{
	const struct passwd *pw;

	name[0] = '\0';
	if (s->options.full_name != NULL) {
		strlcpy(name, s->options.full_name, size);
	} else if (s->options.sender == NULL &&
	    (pw = getpwuid(getuid())) != NULL && pw->pw_gecos != NULL) {
		strlcpy(name, pw->pw_gecos, size);
		name[strcspn(name, ",")] = '\0';
	}
}

static int
is_utf8(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text > 127)
			return 1;
	return 0;
}

static int
needs_utf8(const struct sendmail *s)
{
	size_t i;

	for (i = 0; i < s->recipients.count; i++)
		if (is_utf8(s->recipients.names[i]))
			return 1;
	return is_utf8(s->sender);
}

static void
say_envelope(struct sendmail *s)
{
	const struct options *o = &s->options;
	char address[ADDRESS_ROOM];
	size_t i;

	submission_say(&s->server, 250, s->sender,
	    "MAIL FROM:<%s> SIZE=%llu%s%s%s%s%s%s", s->sender,
	    (unsigned long long)s->letter.octets,
	    s->letter.is_eightbit ? " BODY=8BITMIME" : "",
	    needs_utf8(s) ? " SMTPUTF8" : "",
	    o->ret[0] != '\0' ? " RET=" : "", o->ret,
	    o->envid[0] != '\0' ? " ENVID=" : "", o->envid);
	for (i = 0; i < s->recipients.count; i++) {
		qualify(s, address, s->recipients.names[i]);
		submission_say(&s->server, 250, address, "RCPT TO:<%s>%s%s",
		    address, o->notify[0] != '\0' ? " NOTIFY=" : "",
		    o->notify);
		if (o->mode == MODE_VERIFY)
			printf("%s: %s\n", address, s->server.text);
	}
}

static void
put_header(struct sendmail *s)
{
	const char *at = s->letter.header, *end = at + s->letter.header_len;
	char name[256], text[FROM_TEXT_MAX];
	struct letter_field field;

	if (!s->letter.has_from) {
		set_name(s, name, sizeof(name));
		if (from_print(text, name, s->author) == -1)
			fail(EX_USAGE, "an address is too long: %s",
			    s->author);
		submission_put(&s->server, text, strlen(text));
	}
	for (; letter_field(&field, at, (size_t)(end - at)); at += field.len)
		if (!letter_field_is_secret(&field))
			submission_put(&s->server, field.text, field.len);
}

/* What is behind the fields: an empty line comes first, or is put there. */
static void
put_body(struct sendmail *s)
{
	static char piece[PIECE];
	int is_first = 1;
	size_t len;

	while ((len = fread(piece, 1, sizeof(piece), s->letter.content)) > 0) {
		if (is_first && piece[0] != '\n')
			submission_put(&s->server, "\n", 1);
		is_first = 0;
		submission_put(&s->server, piece, len);
	}
	if (ferror(s->letter.content))
		fail(EX_IOERR, "the message could not be read back: %s",
		    strerror(errno));
}

static void
read_letter(struct sendmail *s)
{
	if (letter_read(&s->letter, stdin, s->options.ignore_dot) == 0)
		return;
	if (errno == EFBIG)
		fail(EX_DATAERR, "the header is over %d octets",
		    LETTER_HEADER_MAX);
	fail(errno == ENOSPC || errno == EDQUOT ? EX_TEMPFAIL : EX_IOERR,
	    "the message could not be read: %s", strerror(errno));
}

static int
send_letter(struct sendmail *s)
{
	const int is_sent = s->options.mode == MODE_SEND;

	add_arguments(s);
	if (s->recipients.count == 0 && !(is_sent && s->options.from_header))
		fail(EX_USAGE, "no recipients: name them, or say -t");
	if (is_sent)
		read_letter(s);
	if (is_sent && s->options.from_header)
		add_header(s);
	if (s->recipients.count == 0)
		fail(EX_DATAERR, "no recipients in the header");
	submission_open(&s->server, s->place.run_dir);
	set_sender(s);
	say_envelope(s);
	if (!is_sent) {
		submission_close(&s->server);
		return EX_OK;
	}
	submission_say(&s->server, 354, NULL, "DATA");
	put_header(s);
	put_body(s);
	submission_end(&s->server);
	return EX_OK;
}

/* -bp: what waits, of who asks; root's list is everybody's. */
static int
list_queue(const struct sendmail *s)
{
	static const struct selection any;
	struct listing l;
	struct talk talk;

	talk_init(&talk, s->place.run_dir);
	listing_open(&l, &talk, &print_mailq);
	(void)listing_add(&l, &any);
	return listing_close(&l);
}

/* -q: all that waits, of who asks, is tried now; what is in delivery is. */
static int
retry_queue(const struct sendmail *s)
{
	static const struct selection any;
	struct talk_sum sum = { 0, 0, 0, 0 };
	struct talk talk;

	/* A message would be lost here. */
	if (s->options.from_header || s->options.recipients[0] != NULL)
		fail(EX_USAGE, "-q sends no message");
	talk_init(&talk, s->place.run_dir);
	talk_act(&talk, REQ_RETRY, &any, &sum);
	talk_close(&talk);
	if (sum.faults > 0)
		fail(EX_IOERR, "the spool failed; the log says why");
	return EX_OK;
}

int
main(int argc, char **argv)
{
	static struct sendmail s;
	const char *what = NULL;
	int which;

	standard_open();
	signal(SIGPIPE, SIG_IGN);
	if (options_parse(&s.options, argc, argv, &what, &which) == -1)
		fail(EX_USAGE, "-%c: %s; see sendmail(8)", which, what);
	place_find(&s.place, s.options.config);
	switch (s.options.mode) {
	case MODE_SEND:
	case MODE_VERIFY:
		return send_letter(&s);
	case MODE_SMTP:
		submission_relay(submission_connect(s.place.run_dir));
		return EX_OK;
	case MODE_QUEUE:
		return list_queue(&s);
	case MODE_ALIASES:
		fail_as("newaliases", 1);
		return newaliases_check(&s.place);
	case MODE_RETRY:
		break;
	}
	return retry_queue(&s);
}
