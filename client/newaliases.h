/*
 * newaliases: are the files of names as they should be?
 */
#ifndef CLIENT_NEWALIASES_H
#define CLIENT_NEWALIASES_H

#include "place.h"

/*
 * Nothing has to be built, since the server reads the files as they are; but
 * what it would find fault with is said, each with its line, and also of those
 * that ":include:" names.  An exit code.
 */
int	newaliases_check(const struct place *);

#endif
