/*
 * queue: "postern queue": sees to letters that wait.
 *
 * Runs in postern, as whoever called it; talks to the queue, and writes to
 * standard output.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "fail.h"
#include "listing.h"
#include "place.h"
#include "queue.h"

struct queue_options {
	const char	*config;	/* NULL: the usual file */
	int		 is_all;
	int		 is_json;
	int		 is_content;
	int		 has_filter;
	struct selection selection;
	char		**ids;		/* NULL at the end */
	size_t		 id_count;
};

struct verb {
	const char	*name;
	uint32_t	 request;
	const char	*done;		/* "2 letters ..." */
	int		(*run)(const struct queue_options *,
			    const struct verb *, struct talk *);
};

static int	run_list(const struct queue_options *, const struct verb *,
		    struct talk *);
static int	run_show(const struct queue_options *, const struct verb *,
		    struct talk *);
static int	run_act(const struct queue_options *, const struct verb *,
		    struct talk *);

static const struct verb verbs[] = {
	{ "list", REQ_LIST, NULL, run_list },
	{ "show", REQ_LIST, NULL, run_show },
	{ "retry", REQ_RETRY, "to be tried now", run_act },
	{ "hold", REQ_HOLD, "put on hold", run_act },
	{ "release", REQ_RELEASE, "released", run_act },
	{ "delete", REQ_DELETE, "deleted", run_act },
};

static const char usage_text[] =
    "usage: postern queue [list] [selection] [-j]\n"
    "       postern queue show [-cj] id ...\n"
    "       postern queue retry | hold | release | delete [-j] "
    "-a | id ... | selection\n"
    "\n"
    "  -a, --all                   every letter\n"
    "  -s, --sender ADDRESS        or @DOMAIN; '' or '<>' is the null one\n"
    "  -r, --recipient ADDRESS     or @DOMAIN: who has not got it yet\n"
    "  -d, --destination DOMAIN    of a recipient, or the host it goes by\n"
    "  -t, --state STATE           active, waiting, deferred, held, failed\n"
    "  -u, --user NAME             who submitted it\n"
    "  -c, --content               show the letter itself\n"
    "  -j, --json                  write JSON\n"
    "  -C, --config FILE           other than the usual\n"
    "  -h, --help                  this\n"
    "\n"
    "What is selected several ways must be all of it.  You see your own\n"
    "letters, root all.\n";

static const struct option long_options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "sender", required_argument, NULL, 's' },
	{ "recipient", required_argument, NULL, 'r' },
	{ "destination", required_argument, NULL, 'd' },
	{ "state", required_argument, NULL, 't' },
	{ "user", required_argument, NULL, 'u' },
	{ "content", no_argument, NULL, 'c' },
	{ "json", no_argument, NULL, 'j' },
	{ "config", required_argument, NULL, 'C' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static void
set_text(struct selection *s, uint32_t bit, char *dst, size_t size,
    const char *text)
{
	if (strlcpy(dst, text, size) >= size)
		fail(EX_USAGE, "too long: %s", text);
	s->flags |= bit;
}

/* "<a@b>" is what others print. */
static void
set_address(struct selection *s, uint32_t bit, char *dst, size_t size,
    const char *text)
{
	size_t len = strlen(text);

	set_text(s, bit, dst, size, text);
	if (len >= 2 && text[0] == '<' && text[len - 1] == '>') {
		memmove(dst, dst + 1, len - 2);
		dst[len - 2] = '\0';
	}
}

static void
set_user(struct selection *s, const char *name)
{
	const struct passwd *pw = getpwnam(name);
	const char *problem = NULL;

	s->flags |= SELECT_OWNER;
	if (pw != NULL)
		s->owner = pw->pw_uid;
	else
		s->owner = (uint32_t)strtonum(name, 0, UINT32_MAX - 1,
		    &problem);
	if (problem != NULL)
		fail(EX_NOUSER, "no such user: %s", name);
}

static void
set_state(struct selection *s, const char *name)
{
	const uint32_t place = print_find_place(name);

	if (place == LETTER_PLACES)
		fail(EX_USAGE, "no such state: %s; there are active, waiting, "
		    "deferred, held, failed", name);
	s->places |= IN_PLACE(place);
}

static void
set_option(struct queue_options *o, int letter, const char *value)
{
	struct selection *s = &o->selection;

	o->has_filter |= strchr("srdtu", letter) != NULL;
	switch (letter) {
	case 'a':
		o->is_all = 1;
		break;
	case 's':
		set_address(s, SELECT_SENDER, s->sender, sizeof(s->sender),
		    value);
		break;
	case 'r':
		set_address(s, SELECT_RECIPIENT, s->recipient,
		    sizeof(s->recipient), value);
		break;
	case 'd':
		set_text(s, SELECT_DESTINATION, s->destination,
		    sizeof(s->destination), value);
		break;
	case 't':
		set_state(s, value);
		break;
	case 'u':
		set_user(s, value);
		break;
	case 'c':
		o->is_content = 1;
		break;
	case 'j':
		o->is_json = 1;
		break;
	case 'C':
		o->config = value;
		break;
	case 'h':
		fputs(usage_text, stdout);
		exit(EX_OK);
	default:
		fputs(usage_text, stderr);
		exit(EX_USAGE);
	}
}

static const struct verb *
find_verb(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	fail(EX_USAGE, "there is no \"%s\"; see postern queue --help", name);
}

static const struct verb *
parse(struct queue_options *o, int argc, char **argv)
{
	const struct verb *verb = &verbs[0];
	int c;

	memset(o, 0, sizeof(*o));
	while ((c = getopt_long(argc, argv, "as:r:d:t:u:cjC:h", long_options,
	    NULL)) != -1)
		set_option(o, c, optarg);
	if (optind < argc)
		verb = find_verb(argv[optind++]);
	o->ids = argv + optind;
	o->id_count = (size_t)(argc - optind);
	if (o->is_all && (o->id_count > 0 || o->has_filter))
		fail(EX_USAGE, "all letters, or some: not both");
	if (verb->run == run_show && o->id_count == 0)
		fail(EX_USAGE, "show which letter?");
	if (verb->run == run_act && o->id_count == 0 && !o->is_all &&
	    !o->has_filter)
		fail(EX_USAGE, "%s which letters?  -a is all", verb->name);
	if (o->is_content && (verb->run != run_show || o->is_json))
		fail(EX_USAGE, "-c shows letters as they are, and nothing "
		    "else does");
	return verb;
}

/* One that is too long is nobody's. */
static int
select_id(struct selection *s, const char *id)
{
	s->flags |= SELECT_ID;
	return strlcpy(s->id, id, sizeof(s->id)) < sizeof(s->id) ? 0 : -1;
}

static int
unknown(const char *id)
{
	complain("%s: you have no such letter", id);
	return EX_NOINPUT;
}

static int
list_with(const struct queue_options *o, struct talk *talk,
    const struct printer *printer)
{
	struct selection s = o->selection;
	struct listing l;
	int code = EX_OK, closed;
	size_t i;

	listing_open(&l, talk, printer);
	if (o->id_count == 0)
		(void)listing_add(&l, &s);
	for (i = 0; i < o->id_count; i++)
		if (select_id(&s, o->ids[i]) == -1 ||
		    (listing_add(&l, &s) == 0 && !o->has_filter))
			code = unknown(o->ids[i]);
	closed = listing_close(&l);
	return closed != EX_OK ? closed : code;
}

static int
run_list(const struct queue_options *o, const struct verb *verb,
    struct talk *talk)
{
	(void)verb;
	return list_with(o, talk, o->is_json ? &print_json : &print_mailq);
}

static int
run_show(const struct queue_options *o, const struct verb *verb,
    struct talk *talk)
{
	int code = EX_OK;
	FILE *out;
	size_t i;

	(void)verb;
	if (!o->is_content)
		return list_with(o, talk, o->is_json ? &print_json :
		    &print_show);
	out = tmpfile();
	if (out == NULL)
		fail(EX_OSERR, "no room for a letter");
	for (i = 0; i < o->id_count; i++)
		if (!listing_content(talk, o->ids[i], out))
			code = unknown(o->ids[i]);
	listing_copy(out, 0);
	fclose(out);
	return code;
}

/* What became of them. */
static uint64_t
total(const struct talk_sum *s)
{
	return s->done + s->left + s->in_delivery + s->faults;
}

static void
say_sum(const struct queue_options *o, const struct verb *verb,
    const struct talk_sum *sum)
{
	if (o->is_json) {
		printf("{\"request\":\"%s\",\"done\":%" PRIu64
		    ",\"unchanged\":%" PRIu64 ",\"in_delivery\":%" PRIu64
		    ",\"faults\":%" PRIu64 "}\n", verb->name, sum->done,
		    sum->left, sum->in_delivery, sum->faults);
		return;
	}
	printf("%" PRIu64 " letter%s %s", sum->done, sum->done == 1 ? "" :
	    "s", verb->done);
	if (sum->left > 0)
		printf(", %" PRIu64 " left as %s", sum->left, sum->left == 1 ?
		    "it was" : "they were");
	putchar('\n');
}

static int
run_act(const struct queue_options *o, const struct verb *verb,
    struct talk *talk)
{
	struct selection s = o->selection;
	struct talk_sum sum = { 0, 0, 0, 0 };
	int code = EX_OK;
	uint64_t before;
	size_t i;

	if (o->id_count == 0)
		talk_act(talk, verb->request, &s, &sum);
	for (i = 0; i < o->id_count; i++) {
		before = total(&sum);
		if (select_id(&s, o->ids[i]) == 0)
			talk_act(talk, verb->request, &s, &sum);
		if (total(&sum) == before && !o->has_filter)
			code = unknown(o->ids[i]);
	}
	say_sum(o, verb, &sum);
	if (sum.in_delivery > 0) {
		complain("%" PRIu64 " in delivery just now: try again",
		    sum.in_delivery);
		code = EX_TEMPFAIL;
	}
	if (sum.faults > 0) {
		complain("the spool failed; the log says why");
		code = EX_IOERR;
	}
	return code;
}

int
queue_main(int argc, char **argv)
{
	struct queue_options o;
	const struct verb *verb;
	struct place place;
	struct talk talk;
	int code;

	fail_as("postern queue", 1);
	verb = parse(&o, argc, argv);
	place_find(&place, o.config);
	talk_init(&talk, place.run_dir);
	code = verb->run(&o, verb, &talk);
	talk_close(&talk);
	if (fflush(stdout) == EOF)
		fail(EX_IOERR, "standard output can't be written");
	return code;
}
