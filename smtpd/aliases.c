/*
 * aliases: the parser.
 *
 * Runs in the session agent and in the queue, both as queue-user, and in
 * newaliases as whoever called it; touches nothing but memory.
 * aliases_file.c reads the file, aliases_check.c says what a target is.
 *
 * The file is root's: what it says is trusted, but parsed strictly and within
 * bounds all the same.
 */
#include <stdlib.h>
#include <string.h>

#include "smtpd/aliases.h"
#include "smtpd/aliases_check.h"

/* The file being parsed.  Strings go to out, which is as large as the file. */
struct parse {
	const char		*start, *at, *end;
	const char		*path;
	size_t			 line;
	const struct config	*config;
	aliases_report		 report;
	struct aliases		*aliases;
	size_t			 entries_size, targets_size;
	char			*out, *out_end;
	enum names_kind		 kind;
	int			 is_list;	/* a line end is a comma */
	int			 has_programs;	/* it may name some */
};

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Grow an array by doubling; items of size octets. */
static int
grow(void **array, size_t *room, size_t count, size_t size)
{
	size_t more = *room > 0 ? *room * 2 : 64;
	void *p;

	if (count < *room)
		return 0;
	p = reallocarray(*array, more, size);
	if (p == NULL)
		return -1;
	*array = p;
	*room = more;
	return 0;
}

/* Does the logical line go on behind this LF? */
static int
goes_on(const struct parse *p, const char *lf)
{
	return !p->is_list && lf + 1 < p->end &&
	    (lf[1] == ' ' || lf[1] == '\t');
}

/* White space, and line ends inside a logical line. */
static void
skip_blank(struct parse *p)
{
	for (; p->at < p->end; p->at++) {
		if (*p->at == '\n') {
			if (!goes_on(p, p->at))
				return;
			p->line++;
		} else if (!is_blank(*p->at))
			return;
	}
}

static void
skip_line(struct parse *p)
{
	for (; p->at < p->end; p->at++)
		if (*p->at == '\n') {
			p->line++;
			if (!goes_on(p, p->at)) {
				p->at++;
				return;
			}
		}
}

/* A comment ends with its own line, whatever follows. */
static void
skip_comment(struct parse *p)
{
	const char *lf = memchr(p->at, '\n', (size_t)(p->end - p->at));

	if (lf == NULL) {
		p->at = p->end;
		return;
	}
	p->at = lf + 1;
	p->line++;
}

/*
 * One item: up to stop, a comma or the end of the logical line, with quotes
 * taken off and without white space around it.  *quoted says whether it began
 * with a quote, *escaped whether with a backslash, in quotes or not, that does
 * not stand for a quote.  -1: too long, or a quote is not closed.
 */
static int
take_item(struct parse *p, char stop, char item[TARGET_TEXT_MAX], int *quoted,
    int *escaped)
{
	size_t n = 0, kept = 0;
	int in_quotes = 0;
	char c;

	skip_blank(p);
	*quoted = p->at < p->end && *p->at == '"';
	*escaped = p->end - p->at > 1 + *quoted && p->at[*quoted] == '\\' &&
	    p->at[*quoted + 1] != '"';
	for (; p->at < p->end && *p->at != '\n'; p->at++) {
		c = *p->at;
		if (c == '"') {
			in_quotes = !in_quotes;
			continue;
		}
		if (!in_quotes && (c == stop || c == ','))
			break;
		if (c == '\\' && p->at + 1 < p->end && p->at[1] != '\n')
			c = *++p->at;
		if (n == TARGET_TEXT_MAX - 1 || c == '\0')
			return -1;
		item[n++] = c;
		if (in_quotes || !is_blank(c))
			kept = n;
	}
	item[kept] = '\0';
	skip_blank(p);
	return in_quotes ? -1 : 0;
}

/* Copy into the strings' room; NULL: it is full, which can't be. */
static const char *
keep(struct parse *p, const char *s)
{
	size_t size = strlen(s) + 1;
	char *start = p->out;

	if (size > (size_t)(p->out_end - p->out))
		return NULL;
	memcpy(start, s, size);
	p->out += size;
	return start;
}

static unsigned
may_hold(const struct parse *p)
{
	return (p->has_programs ? TARGETS_PROGRAMS : 0U) |
	    (p->is_list ? 0U : TARGETS_INCLUDES);
}

/* One target for an alias; 1: good, 0: a mistake, -1: no memory. */
static int
parse_target(struct parse *p, struct alias *alias)
{
	const char *wrong = "unclosed quote, NUL or too long a target";
	struct aliases *a = p->aliases;
	char item[TARGET_TEXT_MAX];
	struct target *target;
	enum target_kind kind;
	int quoted, escaped;

	if (take_item(p, ',', item, &quoted, &escaped) == 0) {
		kind = escaped ? TARGET_ACCOUNT : TARGET_NAME;
		wrong = aliases_check(p->config, may_hold(p), item, quoted,
		    &kind);
	}
	if (wrong != NULL) {
		p->report(p->path, p->line, wrong);
		alias->is_bad = 1;
		return 0;
	}
	if (grow((void **)&a->targets, &p->targets_size, a->target_count,
	    sizeof(*a->targets)) == -1)
		return -1;
	target = &a->targets[a->target_count++];
	target->kind = kind;
	target->text = keep(p, item);
	alias->count++;
	return target->text != NULL ? 1 : -1;
}

/* The targets of one alias, up to the end of its logical line. */
static int
parse_targets(struct parse *p, struct alias *alias)
{
	int result;

	alias->first = p->aliases->target_count;
	for (;;) {
		result = parse_target(p, alias);
		if (result == -1)
			return -1;
		if (result == 0 || p->at == p->end || *p->at == '\n')
			break;
		if (*p->at != ',') {
			p->report(p->path, p->line, "a comma is missing");
			alias->is_bad = 1;
			break;
		}
		p->at++;
		/* "a: b," as many write it: nothing follows. */
		skip_blank(p);
		if (p->at == p->end || *p->at == '\n')
			break;
	}
	skip_line(p);
	return 0;
}

/* The name of an alias, and its colon: 0, or -1. */
static int
take_name(struct parse *p, char name[TARGET_TEXT_MAX])
{
	int quoted, escaped;
	size_t i;

	if (take_item(p, ':', name, &quoted, &escaped) == -1 ||
	    p->at == p->end || *p->at != ':' || name[0] == '\0' ||
	    strlen(name) >= ALIAS_NAME_MAX)
		return -1;
	p->at++;
	for (i = 0; name[i] != '\0'; i++)
		name[i] = lower(name[i]);
	return 0;
}

/* Does an address end here, whose last octets these are? */
static int
ends_address(const struct parse *p, int in_quotes)
{
	char c = *p->at;

	return c == '\n' || (!in_quotes && (is_blank(c) ||
	    (c == '#' && p->kind == NAMES_RECIPIENTS)));
}

/* An address, up to white space, in the form in which it is looked up. */
static int
take_address(struct parse *p, char name[TARGET_TEXT_MAX])
{
	char text[TARGET_TEXT_MAX];
	int in_quotes = 0;
	size_t n = 0;

	for (; p->at < p->end && !ends_address(p, in_quotes); p->at++) {
		if (*p->at == '\0' || n + 2 >= sizeof(text))
			return -1;
		in_quotes ^= *p->at == '"';
		text[n++] = *p->at;
		if (in_quotes && *p->at == '\\' && p->at + 1 < p->end &&
		    p->at[1] != '\n')
			text[n++] = *++p->at;
	}
	text[n] = '\0';
	skip_blank(p);
	return address_key_parse(text, name);
}

/* What follows a name: 0; -1: no memory. */
static int
parse_rest(struct parse *p, struct alias *alias)
{
	if (p->kind != NAMES_RECIPIENTS)
		return parse_targets(p, alias);
	if (p->at < p->end && *p->at != '\n' && *p->at != '#')
		p->report(p->path, p->line, "one address a line");
	skip_line(p);
	return 0;
}

static int
parse_alias(struct parse *p)
{
	struct aliases *a = p->aliases;
	struct alias alias;
	char name[TARGET_TEXT_MAX];
	int result;

	memset(&alias, 0, sizeof(alias));
	alias.line = p->line;
	alias.offset = (size_t)(p->at - p->start);
	result = p->kind == NAMES_ALIASES ? take_name(p, name) :
	    take_address(p, name);
	if (result == -1) {
		p->report(p->path, alias.line, p->kind == NAMES_ALIASES ?
		    "not \"name: target\"" :
		    "does not begin with an address or \"@domain\"");
		skip_line(p);
		return 0;
	}
	if (grow((void **)&a->entries, &p->entries_size, a->count,
	    sizeof(*a->entries)) == -1)
		return -1;
	alias.name = keep(p, name);
	if (alias.name == NULL || parse_rest(p, &alias) == -1)
		return -1;
	alias.length = (size_t)(p->at - p->start) - alias.offset;
	a->entries[a->count++] = alias;
	return 0;
}

static int
parse_begin(struct parse *p, const char *text, size_t len)
{
	size_t i, room = len + 2;

	/* A label of one letter, two octets of UTF-8, becomes seven. */
	for (i = 0; i < len; i++)
		if ((text[i] & 0x80) != 0)
			room = 4 * len + 2;
	memset(p->aliases, 0, sizeof(*p->aliases));
	p->start = p->at = text;
	p->end = text + len;
	p->line = 1;
	/* A string's NUL has the place of its ':', ',' or line end. */
	p->aliases->text = malloc(room);
	if (p->aliases->text == NULL)
		return -1;
	p->out = p->aliases->text;
	p->out_end = p->out + room;
	return 0;
}

/* To the next line that says something; 0: there is none. */
static int
next_line(struct parse *p)
{
	while (p->at < p->end) {
		/* A blank line, or one that continues nothing. */
		while (p->at < p->end && is_blank(*p->at))
			p->at++;
		if (p->at == p->end)
			break;
		if (*p->at == '\n') {
			p->at++;
			p->line++;
		} else if (*p->at == '#')
			skip_comment(p);
		else
			return 1;
	}
	return 0;
}

int
aliases_parse_as(struct aliases *aliases, enum names_kind kind,
    const char *text, size_t len, const char *path,
    const struct config *config, aliases_report report)
{
	struct parse p = {
		.path = path, .config = config, .report = report,
		.aliases = aliases, .kind = kind,
		.is_list = kind == NAMES_RECIPIENTS,
		.has_programs = kind == NAMES_ALIASES,
	};

	if (parse_begin(&p, text, len) == -1)
		return -1;
	while (next_line(&p))
		if (parse_alias(&p) == -1)
			return -1;
	aliases_sort(aliases, path, report);
	return kind == NAMES_DOMAIN_MAP ? aliases_list_domains(aliases) : 0;
}

int
aliases_parse(struct aliases *aliases, const char *text, size_t len,
    const char *path, const struct config *config, aliases_report report)
{
	return aliases_parse_as(aliases, NAMES_ALIASES, text, len, path,
	    config, report);
}

static int
parse_list(struct parse *p, const char *text, size_t len)
{
	struct aliases *aliases = p->aliases;
	struct alias *list;

	p->is_list = 1;
	if (parse_begin(p, text, len) == -1 ||
	    grow((void **)&aliases->entries, &p->entries_size, 0,
	    sizeof(*aliases->entries)) == -1)
		return -1;
	list = &aliases->entries[aliases->count++];
	memset(list, 0, sizeof(*list));
	list->name = "";
	while (next_line(p))
		if (parse_targets(p, list) == -1)
			return -1;
	/* Each line began anew. */
	list->first = 0;
	return 0;
}

int
aliases_parse_list(struct aliases *aliases, const char *text, size_t len,
    const char *path, const struct config *config, aliases_report report)
{
	struct parse p = {
		.path = path, .config = config, .report = report,
		.aliases = aliases,
	};

	return parse_list(&p, text, len);
}

int
aliases_parse_forward(struct aliases *aliases, const char *text, size_t len,
    const struct config *config)
{
	struct parse p = {
		.path = "~/.forward", .config = config,
		.report = aliases_ignore, .aliases = aliases,
		.has_programs = 1,
	};

	return parse_list(&p, text, len);
}
