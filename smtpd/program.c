/*
 * program: names a command or a file by a hash of it.
 *
 * Runs in the queue, as queue-user, and in delivery agents and those of
 * programs, as the recipient; touches memory only.
 */
#include <stdio.h>
#include <string.h>

#include "mailbox/sha256.h"
#include "smtpd/program.h"

void
program_digest(const char *text, char digest[PROGRAM_DIGEST_MAX])
{
	uint8_t hash[SHA256_SIZE];
	size_t i;

	sha256(text, strlen(text), hash);
	for (i = 0; i < (PROGRAM_DIGEST_MAX - 1) / 2; i++)
		snprintf(digest + 2 * i, 3, "%02x", hash[i]);
}
