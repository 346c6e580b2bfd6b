/*
 * print: letters of the queue, for people and for programs.
 */
#ifndef CLIENT_PRINT_H
#define CLIENT_PRINT_H

#include <stdio.h>

#include "smtpd/control_gate.h"

/* How a row of letters is written; each call adds to what is there. */
struct printer {
	void	(*begin)(FILE *);
	void	(*letter)(FILE *, const struct letter_record *, size_t index);
	void	(*recipient)(FILE *, const struct recipient_record *,
		    size_t index);
	void	(*letter_end)(FILE *);
	void	(*end)(FILE *, size_t letters, uint64_t octets);
};

extern const struct printer print_mailq;	/* as people know it */
extern const struct printer print_show;	/* all that is known */
extern const struct printer print_json;	/* one object, in UTF-8 */

/* One string of JSON, with its quotes; what is no UTF-8 becomes U+FFFD. */
void	print_json_string(FILE *, const char *);
/* For a terminal: control characters, and what is no UTF-8, become "?". */
void	print_text(FILE *, const char *);
/* The same with a whole file, whose lines and tabs stay. */
void	print_content(FILE *, FILE *from);
/* "deferred" */
const char *print_place(uint32_t place);
/* The place of that name; LETTER_PLACES: there is none. */
uint32_t print_find_place(const char *name);

#endif
