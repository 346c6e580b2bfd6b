/*
 * program: a command or a file that letters are given to, as an alias or
 * ~/.forward names it: "|/path/of/command argument ...", or "/path/of/file".
 *
 * No shell: a command is its absolute path and its arguments, as they are
 * written, split at blanks; double quotes keep blanks in an argument.  Nothing
 * of a letter ever becomes a part of it (C4).  What only a shell would know
 * what to do with is a mistake, so that nobody is taken at half his word.
 */
#ifndef SMTPD_PROGRAM_H
#define SMTPD_PROGRAM_H

#include <stddef.h>
#include <string.h>

#define PROGRAM_TEXT_MAX	400	/* octets, with the NUL */
#define PROGRAM_WORDS_MAX	64	/* of a command, its path included */
#define PROGRAM_DIGEST_MAX	33	/* hexadecimal, with the NUL */

struct program_words {
	char	 text[PROGRAM_TEXT_MAX];	/* what they lie in */
	char	*words[PROGRAM_WORDS_MAX + 1];	/* ends with NULL */
	size_t	 count;
};

/*
 * program_words.c.  What is behind the "|": NULL, or what is wrong with it;
 * the words are good until the structure moves.
 */
const char *program_split(const char *text, struct program_words *);
/* The whole, command or file: NULL, or what is wrong with it. */
const char *program_check(const char *text);

static inline int
program_is_command(const char *text)
{
	return text[0] == '|';
}

/*
 * program.c.  Names an entry among those of the file it stands in: part of its
 * SHA-256.  The queue knows no more of a user's command than this.
 */
void	program_digest(const char *text, char digest[PROGRAM_DIGEST_MAX]);
static inline int
program_is_digest(const char *text)
{
	return strlen(text) == PROGRAM_DIGEST_MAX - 1 &&
	    strspn(text, "0123456789abcdef") == PROGRAM_DIGEST_MAX - 1;
}

#endif
