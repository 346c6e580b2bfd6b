/*
 * program_words: the words of a command.
 *
 * Runs in the queue and in session agents, as queue-user, and in delivery
 * agents and those of programs, as the recipient; touches memory only.
 */
#include <string.h>

#include "smtpd/program.h"

#define SHELL_CHARACTERS	"|&;<>()$`'"

static int
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *
check_characters(const char *text)
{
	const unsigned char *p;

	for (p = (const unsigned char *)text; *p != '\0'; p++)
		if ((*p < ' ' && *p != '\t') || *p == 0x7f)
			return "a command or a file can't have control "
			    "characters";
	return NULL;
}

/* One word, to *out, which is never ahead of *in; NULL or what is wrong. */
static const char *
take_word(const char **in, char **out)
{
	int in_quotes = 0;

	for (; **in != '\0' && (in_quotes || !is_blank(**in)); (*in)++) {
		if (**in == '"')
			in_quotes = !in_quotes;
		else if (!in_quotes && strchr(SHELL_CHARACTERS, **in) != NULL)
			return "a command is run without a shell: its "
			    "characters must be in double quotes";
		else
			*(*out)++ = **in;
	}
	return in_quotes ? "a quote in a command is not closed" : NULL;
}

const char *
program_split(const char *text, struct program_words *w)
{
	const char *wrong = check_characters(text);
	char *out = w->text;

	w->count = 0;
	w->words[0] = NULL;
	if (wrong != NULL)
		return wrong;
	if (strlen(text) >= sizeof(w->text))
		return "a command is too long";
	for (;;) {
		while (is_blank(*text))
			text++;
		if (*text == '\0')
			break;
		if (w->count == PROGRAM_WORDS_MAX)
			return "a command has too many arguments";
		w->words[w->count++] = out;
		wrong = take_word(&text, &out);
		if (wrong != NULL)
			return wrong;
		/*
		 * Room is there: for each word but the last a blank was taken,
		 * and text has room for one NUL more than its octets.
		 */
		*out++ = '\0';
		w->words[w->count] = NULL;
	}
	if (w->count == 0 || w->words[0][0] != '/')
		return "a command needs an absolute path";
	return NULL;
}

const char *
program_check(const char *text)
{
	struct program_words w;

	if (program_is_command(text))
		return program_split(text + 1, &w);
	if (text[0] != '/' || text[strspn(text, "/")] == '\0')
		return "a file needs an absolute path";
	if (strlen(text) >= PROGRAM_TEXT_MAX)
		return "a file's path is too long";
	return check_characters(text);
}
