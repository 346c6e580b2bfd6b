/*
 * keyring: certificates, and for the signer their private keys, on their way
 * from the files to the roles in a sealed memfd.
 *
 * The master copies file to memfd in the kernel: no octet of a key is ever in
 * its memory.  The spawner gets the certificates, the signer both; a pair has
 * the same place in both rings.
 */
#ifndef PRIVSEP_KEYRING_H
#define PRIVSEP_KEYRING_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define KEYRING_MAX	(CONFIG_CERTIFICATES_MAX + 1)	/* pairs */
#define KEYRING_PEM_MAX	(256 * 1024)	/* octets of one file */

struct keyring_pair {
	char		 name[HOSTNAME_MAX];	/* SNI: "mail.example.org",
						 * "*.example.org"; "" for the
						 * first, which is for all other
						 * names and for none */
	char		 chain_file[CONFIG_PATH_MAX];	/* for messages */
	char		 key_file[CONFIG_PATH_MAX];
	const char	*chain;		/* PEM, not NUL-terminated */
	size_t		 chain_len;
	const char	*key;		/* PEM; NULL in the spawner's ring */
	size_t		 key_len;
};

struct keyring {
	size_t			 count;
	struct keyring_pair	 pairs[KEYRING_MAX];
	void			*map;
	size_t			 map_len;
};

/*
 * Runs in the master.  Open and check the files (regular, root's or ours, not
 * writable by others, a key readable by nobody else but a group of root's),
 * copy them, each once, so that both rings are of the same certificates: two
 * memfds, one with the certificates and one with their keys, too.  0, or -1
 * after the file and the reason were reported.
 */
int	keyring_send(const struct config *, int *certificates, int *keys,
	    config_report);

/* Runs in the role: 0, or -1 when it is no sealed keyring.  memfd is taken. */
int	keyring_receive(int memfd, struct keyring *);
/* Nothing of it is in this process's memory any more. */
void	keyring_forget(struct keyring *);

#endif
