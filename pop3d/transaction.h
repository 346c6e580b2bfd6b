/*
 * transaction: what the handlers of the TRANSACTION state share.
 */
#ifndef POP3D_TRANSACTION_H
#define POP3D_TRANSACTION_H

#include <stdint.h>

struct session;

/* Log that the maildrop failed us (errno), and end the session. */
void	transaction_failed(struct session *, const char *what);

/* A message that is there and not deleted; else -1, and it was replied. */
int	transaction_number(struct session *, uint64_t value, uint32_t *number);

#endif
