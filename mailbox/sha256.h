/*
 * sha256: the SHA-256 of a text in memory.
 */
#ifndef MAILBOX_SHA256_H
#define MAILBOX_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE	32

void	sha256(const void *, size_t, uint8_t digest[SHA256_SIZE]);

#endif
