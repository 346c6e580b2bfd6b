/*
 * signer_keys: the private keys, and nobody else has them.
 */
#ifndef PRIVSEP_SIGNER_KEYS_H
#define PRIVSEP_SIGNER_KEYS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "keyring.h"
#include "signer_content.h"

#define SIGNER_KEY_BITS_MIN	2048	/* of RSA */
#define SIGNER_KEY_BITS_MAX	8192
#define SIGNER_WARN_DAYS	14	/* before a certificate ends */

/* Told of a pair: the file, and what is to be said of it. */
typedef void (*signer_tell)(int level, const char *file, const char *text);

/*
 * Parse and try every pair of the ring, in place of any that were loaded
 * before: chain and key are well-formed and belong together, the key is of a
 * kind that we sign with.  0, or -1 after each pair that can't be used was
 * told of with LOG_ERR.  now is for the warnings about dates.  Needs no file
 * and no socket.
 */
int	signer_keys_load(const struct keyring *, time_t now, signer_tell);
/* Free all of them. */
void	signer_keys_forget(void);
size_t	signer_keys_count(void);
/* The kind of the key in this place of the ring, which must be there. */
enum key_kind signer_keys_kind(size_t key);

/*
 * Sign; the scheme fits the key's kind.  *len is the room in signature, then
 * its length.  0, or -1.
 */
int	signer_keys_sign(size_t key, uint32_t scheme, const uint8_t *content,
	    size_t content_len, uint8_t *signature, size_t *len);

#endif
