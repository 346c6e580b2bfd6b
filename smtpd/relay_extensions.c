/*
 * relay_extensions: the reply to EHLO, line by line.
 *
 * Runs in the relay's children, as relay-user, confined; touches the memory
 * that it is given.  What is not well-formed was not offered.
 */
#include <string.h>
#include <strings.h>

#include "relay_extensions.h"

struct word {
	const char	*at;
	size_t		 len;
};

struct keyword {
	const char	*name;
	uint32_t	 bit;
	/* Looks at its parameters; what it returns is offered. */
	uint32_t	(*parameters)(struct extensions *, uint32_t bit,
			    const char *, const char *end);
};

void
extensions_forget(struct extensions *e)
{
	memset(e, 0, sizeof(*e));
}

/* The next word, none at the end; blanks and tabs are between them. */
static struct word
next_word(const char **p, const char *end)
{
	struct word word;

	while (*p < end && (**p == ' ' || **p == '\t'))
		++*p;
	word.at = *p;
	while (*p < end && **p != ' ' && **p != '\t')
		++*p;
	word.len = (size_t)(*p - word.at);
	return word;
}

static int
is_word(const struct word *word, const char *name)
{
	return strlen(name) == word->len &&
	    strncasecmp(word->at, name, word->len) == 0;
}

/* At most 20 digits (RFC 1870); anything else names no limit. */
static uint32_t
take_size(struct extensions *e, uint32_t bit, const char *p, const char *end)
{
	struct word word = next_word(&p, end);
	uint64_t limit = 0;
	size_t i;

	for (i = 0; i < word.len; i++) {
		if (word.at[i] < '0' || word.at[i] > '9' ||
		    __builtin_mul_overflow(limit, 10, &limit) ||
		    __builtin_add_overflow(limit,
		    (uint64_t)(word.at[i] - '0'), &limit))
			return bit;
	}
	e->size_limit = limit;
	return bit;
}

static uint32_t
take_auth(struct extensions *e, uint32_t bit, const char *p, const char *end)
{
	struct word word;

	while ((word = next_word(&p, end)).len > 0) {
		if (is_word(&word, "PLAIN"))
			e->mechanisms |= RELAY_AUTH_PLAIN;
		else if (is_word(&word, "LOGIN"))
			e->mechanisms |= RELAY_AUTH_LOGIN;
	}
	return e->mechanisms != 0 ? bit : 0;
}

static const struct keyword keywords[] = {
	{ "PIPELINING", RELAY_HAS_PIPELINING, NULL },
	{ "SIZE", RELAY_HAS_SIZE, take_size },
	{ "8BITMIME", RELAY_HAS_8BITMIME, NULL },
	{ "SMTPUTF8", RELAY_HAS_SMTPUTF8, NULL },
	{ "CHUNKING", RELAY_HAS_CHUNKING, NULL },
	{ "DSN", RELAY_HAS_DSN, NULL },
	{ "STARTTLS", RELAY_HAS_STARTTLS, NULL },
	{ "AUTH", RELAY_HAS_AUTH, take_auth },
	{ "ENHANCEDSTATUSCODES", RELAY_HAS_STATUS, NULL },
};

void
extensions_take(struct extensions *e, const char *line, size_t len)
{
	const char *p = line, *end = line + len;
	struct word word;
	size_t i;

	if (len == 0 || *p == ' ' || *p == '\t')
		return;
	word = next_word(&p, end);
	for (i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (!is_word(&word, keywords[i].name))
			continue;
		e->has |= keywords[i].parameters == NULL ? keywords[i].bit :
		    keywords[i].parameters(e, keywords[i].bit, p, end);
		return;
	}
}
