/*
 * maildir_delivered: is a delivery in new/ or cur/, whatever its name is now?
 *
 * Runs in agents, as the recipient; reads directories of the Maildir.
 */
#include <stdlib.h>
#include <string.h>

#include "maildir.h"

/* The id in SECONDS.QID. and so on, whatever its fields and flags are now. */
static size_t
id_in_name(const char *name, const char **id)
{
	size_t digits = strspn(name, "0123456789"), len;

	if (digits == 0 || name[digits] != '.' || name[digits + 1] != 'Q')
		return 0;
	*id = name + digits + 2;
	len = strcspn(*id, ".");
	return (*id)[len] == '.' && len <= MAILDIR_ID_MAX ? len : 0;
}

static int
is_delivery(struct mailbox *mb, enum maildir_folder folder,
    const struct dirent *found, void *arg)
{
	const char *id, *wanted = arg;
	size_t len = id_in_name(found->d_name, &id);

	(void)mb;
	(void)folder;
	return len > 0 && strncmp(id, wanted, len) == 0 &&
	    wanted[len] == '\0';
}

int
maildir_has_delivery(struct mailbox *mb, const char *queue_id)
{
	struct maildir_readings readings = { 0 };
	char id[MAILDIR_ID_MAX + 1];
	int is_whole, r;

	strlcpy(id, queue_id, sizeof(id));
	do
		r = maildir_scan_both(mb, is_delivery, id, &is_whole);
	while (r == 0 && maildir_scan_again(&readings, is_whole, 0));
	return r;
}

/* FNV-1a.  Two ids may have one hash: that costs a reading, no more. */
static uint64_t
hash_id(const char *id, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)id[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static int
by_hash(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static int
remember(struct mailbox *mb, enum maildir_folder folder,
    const struct dirent *found, void *arg)
{
	struct maildir_ids *ids = arg;
	const char *id;
	size_t room, len = id_in_name(found->d_name, &id);
	uint64_t *grown;

	(void)mb;
	(void)folder;
	if (len == 0)
		return 0;
	if (ids->count == ids->room) {
		room = ids->room == 0 ? 256 : ids->room + ids->room / 2;
		grown = reallocarray(ids->hashes, room, sizeof(*grown));
		if (grown == NULL)
			return -1;
		ids->hashes = grown;
		ids->room = room;
	}
	ids->hashes[ids->count++] = hash_id(id, len);
	return 0;
}

int
maildir_may_have(struct mailbox *mb, const char *queue_id)
{
	struct maildir_ids *ids = &mb->delivered;
	struct maildir_readings readings = { 0 };
	uint64_t hash = hash_id(queue_id, strlen(queue_id));
	int is_whole;

	if (!ids->is_known) {
		ids->count = 0;
		do	/* what several readings met is there several times */
			if (maildir_scan_both(mb, remember, ids,
			    &is_whole) == -1)
				return -1;
		while (maildir_scan_again(&readings, is_whole, 0));
		if (ids->count > 0)
			qsort(ids->hashes, ids->count, sizeof(*ids->hashes),
			    by_hash);
		ids->is_known = 1;
	}
	return ids->count > 0 && bsearch(&hash, ids->hashes, ids->count,
	    sizeof(hash), by_hash) != NULL;
}
