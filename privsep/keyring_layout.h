/*
 * keyring_layout: the octets of a keyring's memfd, shared by the two sides
 * (keyring_send.c in the master, keyring.c in the roles) and by nobody else.
 *
 * u32 KEYRING_MAGIC, u32 keys (0 or 1), u32 count, then for each pair str
 * name, str chain_file, str key_file, u32 chain_len, u32 key_len; u32
 * KEYRING_END; then of each pair the chain's octets and the key's, without a
 * gap, to the end of the file.  u32 is little-endian; a str is a u32 length
 * and its octets, without NUL.  In a ring without keys key_file is empty and
 * key_len 0.
 */
#ifndef PRIVSEP_KEYRING_LAYOUT_H
#define PRIVSEP_KEYRING_LAYOUT_H

#include <sys/types.h>

#include <fcntl.h>

#include "keyring.h"

#define KEYRING_MAGIC	0x4b545350U	/* "PSTK" */
#define KEYRING_END	0xffffffffU
#define KEYRING_SEALS	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | \
			    F_SEAL_WRITE)

/* The largest header, and the largest memfd, in octets. */
#define KEYRING_HEADER_MAX \
	(16 + KEYRING_MAX * (5 * 4 + HOSTNAME_MAX + 2 * CONFIG_PATH_MAX))
#define KEYRING_FILE_MAX \
	(KEYRING_HEADER_MAX + KEYRING_MAX * 2 * KEYRING_PEM_MAX)

/*
 * Decode a header of count pairs and the octets behind it; 0, or -1 with
 * EBADMSG when any octet is not as keyring_send() makes it.  The ring points
 * into octets, and does not own them.
 */
int	keyring_decode(const uint8_t *octets, size_t len, struct keyring *);

#endif
