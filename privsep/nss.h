/*
 * nss: an account by its name or uid, or a group, with "unknown" told from "out of order".
 */
#ifndef PRIVSEP_NSS_H
#define PRIVSEP_NSS_H

#include <grp.h>
#include <pwd.h>
#include <stddef.h>

enum nss_status {
	NSS_FOUND,
	NSS_UNKNOWN,		/* there is no such account, and NSS is sure */
	NSS_FAILED		/* NSS could not tell: never "unknown" */
};

#define NSS_BUFFER	(64 * 1024)	/* a passwd entry with its strings */

/* buf holds what *pw points to; size octets, NSS_BUFFER is ample. */
enum nss_status nss_find(const char *name, struct passwd *pw, char *buf,
	    size_t size);
/* The same by uid; one of several that share it. */
enum nss_status nss_find_uid(uid_t, struct passwd *pw, char *buf,
	    size_t size);
/*
 * The same for a group.  NSS_FAILED with errno ERANGE: buf is too small for
 * its members.
 */
enum nss_status nss_find_group(const char *name, struct group *, char *buf,
	    size_t size);

#endif
