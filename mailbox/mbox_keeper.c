/*
 * mbox_keeper: makes and removes an mbox's lock for one agent.
 *
 * Runs in agents' companions, as the user with the mail directory's group;
 * touches NAME (makes it) and NAME.lock in that directory.  It never holds a
 * descriptor on anybody's mail: Landlock lets it read no file, and its
 * system-call table lets it open none that it does not make.  keeper_ask()
 * runs in the agent.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "mbox_keeper.h"

#define ANSWER_MS	30000	/* a keeper has little to do */

mode_t
keeper_mode(int directory)
{
	struct stat st;

	if (fstat(directory, &st) == 0 && (st.st_mode & S_IWGRP) != 0 &&
	    (st.st_mode & S_IWOTH) == 0)
		return 0660;		/* Debian policy 11.6 */
	return 0600;
}

int
keeper_make(int directory, const char *name, mode_t mode)
{
	mode_t old = umask(0);
	int fd;

	fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, mode);
	umask(old);
	return fd == -1 ? -1 : close(fd);
}

static int
answer(int sock, struct message *request, int error, int state)
{
	struct message reply;

	message_begin(&reply, request->type | 0x8000);
	put_u32(&reply, (uint32_t)error);
	return message_send(sock, &reply) == 0 ? state : STATE_END;
}

static int
answer_make(void *session, int sock, struct message *request)
{
	struct keeper *k = session;
	int error = 0;

	if (keeper_make(k->directory, k->name, k->mode) == -1)
		error = errno;
	return answer(sock, request, error, KEEPER_IDLE);
}

static int
answer_lock(void *session, int sock, struct message *request)
{
	struct keeper *k = session;

	if (dotlock_make(k->directory, k->lock_name, k->user, &k->lock) == -1)
		return answer(sock, request, errno, KEEPER_IDLE);
	return answer(sock, request, 0, KEEPER_LOCKED);
}

static int
answer_touch(void *session, int sock, struct message *request)
{
	struct keeper *k = session;
	int error = 0;

	if (dotlock_touch(&k->lock) == -1)
		error = errno;
	return answer(sock, request, error, KEEPER_LOCKED);
}

static int
answer_unlock(void *session, int sock, struct message *request)
{
	struct keeper *k = session;
	int error = 0;

	if (dotlock_remove(k->directory, k->lock_name, &k->lock) == -1)
		error = errno;
	return answer(sock, request, error, KEEPER_IDLE);
}

/* No request has a field: there is nothing that an agent could choose. */
static const struct gate gates[] = {
	{
		.request = REQ_KEEPER_MAKE, .name = "MAKE",
		.states = IN_STATE(KEEPER_IDLE), .handler = answer_make
	}, {
		.request = REQ_KEEPER_LOCK, .name = "LOCK",
		.states = IN_STATE(KEEPER_IDLE), .handler = answer_lock
	}, {
		.request = REQ_KEEPER_TOUCH, .name = "TOUCH",
		.states = IN_STATE(KEEPER_LOCKED), .handler = answer_touch
	}, {
		.request = REQ_KEEPER_UNLOCK, .name = "UNLOCK",
		.states = IN_STATE(KEEPER_LOCKED), .handler = answer_unlock
	}
};

const struct gate_table keeper_gates = {
	.service = "keeper",
	.gates = gates,
	.count = sizeof(gates) / sizeof(gates[0]),
	.first_state = KEEPER_IDLE
};

int
keeper_serve(struct keeper *k, int sock)
{
	int r, saved;

	k->lock.fd = -1;
	r = gates_serve(&keeper_gates, k, sock, -1);
	saved = errno;
	if (k->lock.fd != -1)
		(void)dotlock_remove(k->directory, k->lock_name, &k->lock);
	errno = saved;
	return r;
}

int
keeper_ask(int sock, enum keeper_request what)
{
	struct message m;
	uint32_t error;
	int n;

	message_begin(&m, what);
	if (message_send(sock, &m) == -1)
		return -1;
	n = message_wait(sock, &m, 0, ANSWER_MS);
	if (n == -1)
		return -1;
	if (n == 0) {
		errno = EPIPE;
		return -1;
	}
	error = get_u32(&m);
	if (get_end(&m) == -1 || m.type != ((uint32_t)what | 0x8000)) {
		errno = EPROTO;
		return -1;
	}
	errno = (int)error;
	return error == 0 ? 0 : -1;
}
