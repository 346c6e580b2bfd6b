/*
 * mbox_companion: which sessions get a keeper, and how it begins.
 *
 * is_wanted() runs in agents, as root, and looks at the one directory that an
 * administrator has named; the rest runs in its fork, which has become the
 * user with that directory's group, before it serves (mbox_keeper.c).
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/log.h"
#include "mbox.h"
#include "mbox_keeper.h"

#define LOCK_SUFFIX	".lock"

/*
 * The group that the companion needs: the directory's, if the administrator
 * has named that, and not the user.
 */
static gid_t
directory_group(const char *path, gid_t otherwise)
{
	char directory[CONFIG_PATH_MAX];
	const char *slash = strrchr(path, '/');
	struct stat st;
	size_t len;

	if (path[0] != '/' || slash == NULL || slash == path)
		return otherwise;
	len = (size_t)(slash - path);
	if (len >= sizeof(directory) || memchr(path, '%', len) != NULL)
		return otherwise;
	memcpy(directory, path, len);
	directory[len] = '\0';
	if (stat(directory, &st) == -1 || !S_ISDIR(st.st_mode) ||
	    st.st_gid == 0 || (st.st_mode & S_IWGRP) == 0 ||
	    (st.st_mode & S_IWOTH) != 0)
		return otherwise;
	return st.st_gid;
}

static int
is_wanted(const struct agent *agent, gid_t *group)
{
	if (agent->config->mailbox_format != MAILBOX_MBOX ||
	    (agent->facts.service != SERVICE_DELIVERY &&
	    agent->facts.service != SERVICE_POP3 &&
	    agent->facts.service != SERVICE_POP3S))
		return 0;
	*group = directory_group(agent->config->mailbox_path,
	    agent->identity.gid);
	return 1;
}

/* Find the place; that it is not there is said when it is asked for. */
static void
keeper_enter(struct keeper *k, const struct agent *agent)
{
	struct mailbox mb;

	k->directory = -1;
	if (mbox_place_find(&mb, agent->config, &agent->identity,
	    agent->facts.service == SERVICE_DELIVERY) == -1)
		return;
	if (snprintf(k->lock_name, sizeof(k->lock_name), "%s" LOCK_SUFFIX,
	    mb.name) >= (int)sizeof(k->lock_name)) {
		close(mb.directory);
		return;
	}
	k->directory = mb.directory;
	k->mode = keeper_mode(k->directory);
	k->user = agent->identity.uid;
	strlcpy(k->name, mb.name, sizeof(k->name));
	dotlock_clear_dead(k->directory, k->lock_name);
}

static void
companion_serve(const struct agent *agent, int sock)
{
	struct keeper k;

	keeper_enter(&k, agent);
	companion_confine(k.directory);
	if (keeper_serve(&k, sock) == -1)
		log_event(LOG_ERR, agent->facts.session,
		    "event=gate-fault service=keeper error=\"%s\"",
		    strerror(errno));
}

const struct companion mailbox_companion = {
	.is_wanted = is_wanted,
	.serve = companion_serve
};
