/* LINK: smtpd/program_words */
/*
 * A command in an alias or in ~/.forward: its words lie in the text that there
 * is room for, the first is a path, and no shell's character is in one that was
 * not quoted.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/program.h"

#define REQUIRE(what)	do { if (!(what)) abort(); } while (0)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct program_words w;
	char *text = malloc(len + 1);
	size_t i, total = 0;

	REQUIRE(text != NULL);
	memcpy(text, data, len);
	text[len] = '\0';
	(void)program_check(text);
	if (program_split(text, &w) == NULL) {
		REQUIRE(w.count > 0 && w.count <= PROGRAM_WORDS_MAX);
		REQUIRE(w.words[0][0] == '/' && w.words[w.count] == NULL);
		for (i = 0; i < w.count; i++) {
			REQUIRE(w.words[i] >= w.text && w.words[i] +
			    strlen(w.words[i]) < w.text + sizeof(w.text));
			REQUIRE(strchr(text, '"') != NULL ||
			    strpbrk(w.words[i], "|&;<>()$`' \t") == NULL);
			total += strlen(w.words[i]);
		}
		REQUIRE(total <= strlen(text));
	}
	free(text);
	return 0;
}
