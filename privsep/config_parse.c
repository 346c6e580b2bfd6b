/*
 * config_parse: the text of postern.conf, or of an -o option, becomes a
 * struct config: lines, words, keywords, and what must hold between them.
 *
 * Runs in the master only, as root, on a file that only root can change.  It
 * is strict all the same: what it does not understand is an error that names
 * file, line and keyword, and never a guess.  Touches memory only.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "config_table.h"

int
config_wrong(const struct config_entry *l, const char *fmt, ...)
{
	char text[CONFIG_PATH_MAX + CONFIG_LINE_MAX + 256];
	char what[CONFIG_LINE_MAX + 128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%s: %s%s%s", l->where,
	    l->field != NULL ? l->field->keyword : "",
	    l->field != NULL ? ": " : "", what);
	l->report(text);
	return -1;
}

int
config_digits(const char *s, size_t len, uint64_t *value)
{
	size_t i;

	if (len == 0 || len > 19)
		return -1;
	*value = 0;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		*value = *value * 10 + (uint64_t)(s[i] - '0');
	}
	return 0;
}

static int
is_blank(char ch)
{
	return ch == ' ' || ch == '\t';
}

/*
 * Cut the line into words in place; a comment begins with # at a word's
 * start.  The keyword goes to *keyword (NULL: nothing on this line).
 */
static int
split(struct config_entry *l, const char **keyword)
{
	char *p = l->text;

	*keyword = NULL;
	l->count = 0;
	for (;;) {
		while (is_blank(*p))
			p++;
		if (*p == '\0' || *p == '#')
			return 0;
		if (*keyword == NULL)
			*keyword = p;
		else if (l->count == CONFIG_WORDS_MAX)
			return config_wrong(l, "more than %d words",
			    CONFIG_WORDS_MAX);
		else
			l->words[l->count++] = p;
		while (*p != '\0' && !is_blank(*p))
			p++;
		if (*p != '\0')
			*p++ = '\0';
	}
}

static const struct config_field *
find_field(const char *keyword)
{
	size_t i;

	for (i = 0; i < config_field_count; i++)
		if (strcmp(config_fields[i].keyword, keyword) == 0)
			return &config_fields[i];
	return NULL;
}

/* The N of "FILE:N"; 1 for a place that has none. */
static uint32_t
line_number(const char *where)
{
	const char *colon = strrchr(where, ':');
	uint64_t n;

	if (strcmp(where, "-o") == 0)
		return CONFIG_BY_OPTION;
	if (colon == NULL ||
	    config_digits(colon + 1, strlen(colon + 1), &n) == -1 ||
	    n == 0 || n >= CONFIG_BY_OPTION)
		return 1;
	return (uint32_t)n;
}

int
config_line(struct config *c, const char *line, const char *where,
    config_report report)
{
	struct config_entry l = { .config = c, .where = where,
	    .report = report };
	const char *keyword, *p;
	uint32_t *set_by;

	if (strlcpy(l.text, line, sizeof(l.text)) >= sizeof(l.text))
		return config_wrong(&l, "longer than %d octets",
		    CONFIG_LINE_MAX);
	for (p = l.text; *p != '\0'; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 127)
			return config_wrong(&l, "control character %#x",
			    (unsigned int)(unsigned char)*p);
	if (split(&l, &keyword) == -1)
		return -1;
	if (keyword == NULL)
		return 0;
	l.field = find_field(keyword);
	if (l.field == NULL)
		return config_wrong(&l, "%s: unknown keyword", keyword);
	l.number = line_number(where);
	set_by = &c->set_by[l.field - config_fields];
	if (*set_by != 0 && l.number != CONFIG_BY_OPTION && !l.field->repeats)
		return config_wrong(&l, "was set before, by line %u", *set_by);
	if (config_setters[l.field->kind](&l) == -1)
		return -1;
	*set_by = l.number;
	return 0;
}

int
config_parse(struct config *c, const char *text, size_t len, const char *path,
    config_report report)
{
	char line[CONFIG_LINE_MAX + 1], where[CONFIG_PATH_MAX + 16];
	struct config_entry l = { .config = c, .where = where,
	    .report = report };
	const char *end;
	size_t n;
	uint32_t number;
	int result = 0;

	for (number = 1; len > 0; number++) {
		snprintf(where, sizeof(where), "%.*s:%u", CONFIG_PATH_MAX,
		    path, number);
		end = memchr(text, '\n', len);
		n = end != NULL ? (size_t)(end - text) : len;
		if (n > CONFIG_LINE_MAX)
			result = config_wrong(&l, "longer than %d octets",
			    CONFIG_LINE_MAX);
		else if (memchr(text, '\0', n) != NULL)
			result = config_wrong(&l, "a NUL character");
		else {
			memcpy(line, text, n);
			line[n] = '\0';
			if (config_line(c, line, where, report) == -1)
				result = -1;
		}
		n += end != NULL;
		text += n;
		len -= n;
	}
	return result;
}

/* The line that set it, 0 for none. */
static uint32_t
line_of(const struct config *c, const char *keyword)
{
	return c->set_by[find_field(keyword) - config_fields];
}

/* A certificate goes with its key: half of the default pair fits nothing. */
static int
check_pair(const struct config *c, config_report report)
{
	uint32_t key = line_of(c, "tls-key"), set = c->pair_set_by | key;
	const char *names[] = { "tls-certificate", "tls-key" };
	char text[128], where[32] = "by an option";

	if ((c->pair_set_by != 0) == (key != 0))
		return 0;
	if (set != CONFIG_BY_OPTION)
		snprintf(where, sizeof(where), "in line %u", set);
	snprintf(text, sizeof(text), "%s is set %s, but %s is not: they are a "
	    "pair", names[key != 0], where, names[key == 0]);
	report(text);
	return -1;
}

/* Processes of one uid could get at each other. */
static int
check_users(const struct config *c, config_report report)
{
	const struct account_ids *users[CONFIG_ACCOUNTS];
	const char *const *names;
	char text[128];
	size_t i, j;
	int result = 0;

	names = config_accounts(c, users);
	for (i = 0; i < CONFIG_ACCOUNTS; i++)
		for (j = 0; j < i; j++) {
			if (users[i]->name[0] == '\0' ||
			    strcmp(users[i]->name, users[j]->name) != 0)
				continue;
			snprintf(text, sizeof(text), "%s and %s must be two "
			    "accounts", names[i], names[j]);
			report(text);
			result = -1;
		}
	return result;
}

int
config_finish(struct config *c, config_report report)
{
	int result = 0;

	if (line_of(c, "domains") == 0)
		config_default_domains(c);
	if (check_pair(c, report) == -1)
		result = -1;
	if (check_users(c, report) == -1)
		result = -1;
	if ((c->srs_domain[0] == '\0') != (c->srs_secret_file[0] == '\0')) {
		report("srs-domain and srs-secret: one needs the other");
		result = -1;
	}
	/* More of these than sessions would only look as if it said a thing. */
	if (c->max_sessions_per_source > c->max_sessions)
		c->max_sessions_per_source = c->max_sessions;
	if (c->prefork > c->max_sessions)
		c->prefork = c->max_sessions;
	return result;
}
