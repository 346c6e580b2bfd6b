/*
 * nss: an account by its name or uid, or a group.
 *
 * Runs in login's children, as root, and in SMTP session agents, as
 * queue-user; asks NSS, whatever modules the host has configured.
 */
#include <errno.h>

#include "nss.h"

/* The account that every host has: is NSS in order? */
static int
has_root(struct passwd *pw, char *buf, size_t size)
{
	struct passwd *found = NULL;

	while (getpwnam_r("root", pw, buf, size, &found) == EINTR)
		;
	return found != NULL;
}

/*
 * getpwnam_r(3) says "no such name" with 0 and anything else when a source
 * could not be asked.  A source that is gone altogether may still look like 0
 * behind another that answers, so the one account that every host has must be
 * there as well.
 */
enum nss_status
nss_find(const char *name, struct passwd *pw, char *buf, size_t size)
{
	struct passwd *found = NULL;
	int error;

	do
		error = getpwnam_r(name, pw, buf, size, &found);
	while (error == EINTR);
	if (found != NULL)
		return NSS_FOUND;
	if (error != 0)
		return NSS_FAILED;
	return has_root(pw, buf, size) ? NSS_UNKNOWN : NSS_FAILED;
}

enum nss_status
nss_find_uid(uid_t uid, struct passwd *pw, char *buf, size_t size)
{
	struct passwd *found = NULL;
	int error;

	do
		error = getpwuid_r(uid, pw, buf, size, &found);
	while (error == EINTR);
	if (found != NULL)
		return NSS_FOUND;
	return error == 0 && has_root(pw, buf, size) ? NSS_UNKNOWN :
	    NSS_FAILED;
}

/* The group that every host has, whatever its name. */
static int
has_first_group(struct group *gr, char *buf, size_t size)
{
	struct group *found = NULL;

	while (getgrgid_r(0, gr, buf, size, &found) == EINTR)
		;
	return found != NULL;
}

enum nss_status
nss_find_group(const char *name, struct group *gr, char *buf, size_t size)
{
	struct group *found = NULL;
	int error;

	do
		error = getgrnam_r(name, gr, buf, size, &found);
	while (error == EINTR);
	if (found != NULL)
		return NSS_FOUND;
	if (error == 0 && has_first_group(gr, buf, size))
		return NSS_UNKNOWN;
	errno = error;
	return NSS_FAILED;
}
