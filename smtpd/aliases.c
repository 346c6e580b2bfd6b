/*
 * aliases: the parser and the look-up.
 *
 * Runs in the session agent and in the queue, both as queue-user; touches
 * nothing but memory.  aliases_file.c reads the file.
 *
 * The file is root's: what it says is trusted, but parsed strictly and within
 * bounds all the same.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpd/address.h"
#include "smtpd/aliases.h"

#define TARGET_TEXT_MAX	400	/* one item as written, with its NUL */

/* The file being parsed.  Strings go to out, which is as large as the file. */
struct parse {
	const char		*at, *end;
	const char		*path;
	size_t			 line;
	const struct config	*config;
	aliases_report		 report;
	struct aliases		*aliases;
	size_t			 entries_size, targets_size;
	char			*out;
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
	return lf + 1 < p->end && (lf[1] == ' ' || lf[1] == '\t');
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
 * with a quote, *escaped whether with a backslash.  -1: too long, or a quote
 * is not closed.
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
	*escaped = p->at < p->end && *p->at == '\\';
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

/* Copy into the strings' room, which can't run out: one octet in, one out. */
static const char *
keep(struct parse *p, const char *s, int is_account)
{
	char *start = p->out;

	if (is_account)
		*p->out++ = '\\';
	while (*s != '\0')
		*p->out++ = *s++;
	*p->out++ = '\0';
	return start;
}

/* What is wrong with a target, or NULL; a local one is cut to its name. */
static const char *
check_target(const struct parse *p, char *item, int quoted)
{
	struct address address;

	if (item[0] == '\0')
		return "empty target";
	if (item[0] == '|')
		return "commands are not supported in aliases";
	if (item[0] == '/')
		return "files are not supported in aliases";
	if (!quoted && strncasecmp(item, ":include:", 9) == 0)
		return ":include: is not supported in aliases";
	if (address_mailbox(item, strlen(item), ADDRESS_BARE, &address) !=
	    ADDRESS_OK)
		return "target is neither an account nor an address";
	if (address.domain[0] != '\0' &&
	    !config_is_local_domain(p->config, address.domain))
		return "addresses elsewhere are not supported in aliases";
	strlcpy(item, address.local, TARGET_TEXT_MAX);
	return NULL;
}

/* The targets of one alias, up to the end of its logical line. */
static int
parse_targets(struct parse *p, struct alias *alias)
{
	struct aliases *a = p->aliases;
	char item[TARGET_TEXT_MAX];
	const char *wrong;
	int quoted, escaped;

	alias->first = a->target_count;
	for (;;) {
		wrong = "unclosed quote, NUL or too long a target";
		if (take_item(p, ',', item, &quoted, &escaped) == 0)
			wrong = check_target(p, item, quoted);
		if (wrong != NULL) {
			p->report(p->path, p->line, wrong);
			alias->is_bad = 1;
			skip_line(p);
			return 0;
		}
		if (grow((void **)&a->targets, &p->targets_size,
		    a->target_count, sizeof(*a->targets)) == -1)
			return -1;
		a->targets[a->target_count++] = keep(p, item, escaped);
		alias->count++;
		if (p->at == p->end || *p->at != ',')
			break;
		p->at++;
		/* "a: b," as many write it: nothing follows. */
		skip_blank(p);
		if (p->at == p->end || *p->at == '\n')
			break;
	}
	skip_line(p);
	return 0;
}

static int
parse_alias(struct parse *p)
{
	struct aliases *a = p->aliases;
	struct alias alias;
	char item[TARGET_TEXT_MAX];
	int quoted, escaped;
	size_t i;

	memset(&alias, 0, sizeof(alias));
	alias.line = p->line;
	if (take_item(p, ':', item, &quoted, &escaped) == -1 ||
	    p->at == p->end || *p->at != ':' || item[0] == '\0' ||
	    strlen(item) >= ALIAS_NAME_MAX) {
		p->report(p->path, alias.line, "not \"name: target\"");
		skip_line(p);
		return 0;
	}
	p->at++;
	for (i = 0; item[i] != '\0'; i++)
		item[i] = lower(item[i]);
	if (grow((void **)&a->entries, &p->entries_size, a->count,
	    sizeof(*a->entries)) == -1)
		return -1;
	alias.name = keep(p, item, 0);
	if (parse_targets(p, &alias) == -1)
		return -1;
	a->entries[a->count++] = alias;
	return 0;
}

static int
by_name(const void *left, const void *right)
{
	const struct alias *a = left, *b = right;
	int order = strcmp(a->name, b->name);

	if (order != 0)
		return order;
	return a->line < b->line ? -1 : a->line > b->line;
}

/* Sort; of two with one name the first in the file counts. */
static void
sort(struct parse *p)
{
	struct aliases *a = p->aliases;
	size_t i, kept = 0;

	if (a->count == 0)
		return;
	qsort(a->entries, a->count, sizeof(*a->entries), by_name);
	for (i = 1; i < a->count; i++) {
		if (strcmp(a->entries[i].name, a->entries[kept].name) == 0)
			p->report(p->path, a->entries[i].line,
			    "this alias is set above already");
		else
			a->entries[++kept] = a->entries[i];
	}
	a->count = kept + 1;
}

int
aliases_parse(struct aliases *aliases, const char *text, size_t len,
    const char *path, const struct config *config, aliases_report report)
{
	struct parse p = {
		.at = text, .end = text + len, .path = path, .line = 1,
		.config = config, .report = report, .aliases = aliases,
	};

	memset(aliases, 0, sizeof(*aliases));
	/* A string's NUL has the place of its ':', ',' or line end. */
	aliases->text = malloc(len + 2);
	if (aliases->text == NULL)
		return -1;
	p.out = aliases->text;
	while (p.at < p.end) {
		/* A blank line, or one that continues nothing. */
		while (p.at < p.end && is_blank(*p.at))
			p.at++;
		if (p.at == p.end)
			break;
		if (*p.at == '\n') {
			p.at++;
			p.line++;
		} else if (*p.at == '#')
			skip_comment(&p);
		else if (parse_alias(&p) == -1)
			return -1;
	}
	sort(&p);
	return 0;
}

void
aliases_free(struct aliases *aliases)
{
	free(aliases->entries);
	free(aliases->targets);
	free(aliases->text);
	memset(aliases, 0, sizeof(*aliases));
}

const struct alias *
aliases_find(const struct aliases *aliases, const char *name)
{
	char key[ALIAS_NAME_MAX];
	size_t i, low = 0, high = aliases->count, middle;
	int order;

	for (i = 0; name[i] != '\0'; i++) {
		if (i == sizeof(key) - 1)
			return NULL;
		key[i] = lower(name[i]);
	}
	key[i] = '\0';
	while (low < high) {
		middle = low + (high - low) / 2;
		order = strcmp(key, aliases->entries[middle].name);
		if (order == 0)
			return &aliases->entries[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const char *
aliases_target(const struct aliases *aliases, const struct alias *alias,
    size_t i)
{
	return aliases->targets[alias->first + i];
}
