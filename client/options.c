/*
 * options: the command line of sendmail.
 *
 * Runs in sendmail, as whoever called it; touches nothing but its arguments.
 *
 * Programs call sendmail with options of thirty years.  What has a meaning
 * here is honoured, what has none is taken and ignored, and what would be
 * dangerous to ignore is refused.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "options.h"

/*
 * The first operand ends the options (+): an address that somebody else chose
 * can't be one, whatever it begins with.
 */
#define LETTERS	"+A:B:b:C:cd::e:F:f:Gh:IiL:M:mN:nO:o:p:q::R:r:sTtUV:vX:x:"

static int
set_mode(struct options *o, const char *text)
{
	static const struct {
		char		letter;
		enum mode	mode;
	} modes[] = {
		{ 'm', MODE_SEND }, { 's', MODE_SMTP }, { 'v', MODE_VERIFY },
		{ 'p', MODE_QUEUE }, { 'i', MODE_ALIASES }
	};
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (text[0] == modes[i].letter && text[1] == '\0') {
			o->mode = modes[i].mode;
			return 0;
		}
	}
	return -1;
}

/* One letter and perhaps a value, or a name in full. */
static void
set_old_option(struct options *o, const char *text)
{
	if (strcmp(text, "i") == 0)
		o->ignore_dot = 1;
}

static void
set_long_option(struct options *o, const char *text)
{
	if (strcasecmp(text, "IgnoreDots") == 0 ||
	    strcasecmp(text, "IgnoreDots=true") == 0 ||
	    strcasecmp(text, "i") == 0)
		o->ignore_dot = 1;
}

/* "never", or some of the others; said to the server in capitals. */
static int
set_notify(struct options *o, const char *text)
{
	static const char *const words[] = { "SUCCESS", "FAILURE", "DELAY" };
	const char *at = text;
	unsigned int seen = 0;
	size_t i, len;

	if (strcasecmp(text, "never") == 0) {
		strlcpy(o->notify, "NEVER", sizeof(o->notify));
		return 0;
	}
	o->notify[0] = '\0';
	for (;; at += len + 1) {
		len = strcspn(at, ",");
		for (i = 0; i < 3; i++)
			if (strlen(words[i]) == len &&
			    strncasecmp(words[i], at, len) == 0)
				break;
		if (i == 3 || (seen & 1U << i) != 0)
			return -1;
		if (seen != 0)
			strlcat(o->notify, ",", sizeof(o->notify));
		seen |= 1U << i;
		strlcat(o->notify, words[i], sizeof(o->notify));
		if (at[len] == '\0')
			return 0;
	}
}

static int
set_ret(struct options *o, const char *text)
{
	const char *word = NULL;

	if (strcasecmp(text, "full") == 0)
		word = "FULL";
	else if (strcasecmp(text, "hdrs") == 0)
		word = "HDRS";
	if (word == NULL)
		return -1;
	strlcpy(o->ret, word, sizeof(o->ret));
	return 0;
}

/* xtext: RFC 3461 section 4. */
static int
set_envid(struct options *o, const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~' ||
		    n + 4 > sizeof(o->envid))
			return -1;
		if (*text == '+' || *text == '=' || *text == ' ')
			n += (size_t)snprintf(o->envid + n, 4, "+%02X",
			    (unsigned int)*text);
		else
			o->envid[n++] = *text;
	}
	o->envid[n] = '\0';
	return 0;
}

/* 0; -1: the value is none that it could have. */
static int
set_option(struct options *o, int letter, char *value)
{
	switch (letter) {
	case 'b':
		return set_mode(o, value);
	case 'C':
		o->config = value;
		break;
	case 'F':
		o->full_name = value;
		break;
	case 'f':
	case 'r':
		o->sender = value;
		break;
	case 'I':
		o->mode = MODE_ALIASES;
		break;
	case 'i':
		o->ignore_dot = 1;
		break;
	case 'N':
		return set_notify(o, value);
	case 'O':
		set_long_option(o, value);
		break;
	case 'o':
		set_old_option(o, value);
		break;
	case 'q':
		o->mode = MODE_RETRY;
		break;
	case 'R':
		return set_ret(o, value);
	case 't':
		o->from_header = 1;
		break;
	case 'V':
		return set_envid(o, value);
	default:
		break;
	}
	return 0;
}

static void
set_program(struct options *o, const char *path)
{
	const char *slash = strrchr(path, '/');

	o->program = slash != NULL ? slash + 1 : path;
	if (strcmp(o->program, "mailq") == 0)
		o->mode = MODE_QUEUE;
	else if (strcmp(o->program, "newaliases") == 0)
		o->mode = MODE_ALIASES;
}

int
options_parse(struct options *o, int argc, char **argv, const char **what,
    int *which)
{
	int c;

	memset(o, 0, sizeof(*o));
	*which = 0;
	set_program(o, argc > 0 ? argv[0] : "sendmail");
	opterr = 0;
	while ((c = getopt(argc, argv, LETTERS)) != -1) {
		if (c == '?') {
			*which = optopt;
			*what = "there is no such option, or it lacks a value";
			return -1;
		}
		if (set_option(o, c, optarg) == -1) {
			*which = c;
			*what = "the option has a value that is not known here";
			return -1;
		}
	}
	o->recipients = argv + optind;
	return 0;
}
