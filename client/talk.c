/*
 * talk: asks the queue, and waits for what it says.
 *
 * Runs in postern and in sendmail, as whoever called it; connects to one Unix
 * socket, behind which the kernel tells the server who that is.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "fail.h"
#include "talk.h"

#define PATIENCE_MS	900000	/* as long as the queue may take */
#define BUSY_TRIES	5	/* 1, 2, 4, 8 seconds between them */

void
talk_init(struct talk *t, const char *run_dir)
{
	t->run_dir = run_dir;
	t->fd = -1;
}

static void
open_socket(struct talk *t)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int n;

	n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/smtpd.ctl",
	    t->run_dir);
	if (n < 0 || (size_t)n >= sizeof(un.sun_path))
		fail(EX_CONFIG, "run-dir %s is too long", t->run_dir);
	t->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (t->fd == -1 ||
	    connect(t->fd, (struct sockaddr *)&un, sizeof(un)) == -1)
		fail(EX_TEMPFAIL, "no mail server at %s: %s; see inetd in "
		    "postern(1)", un.sun_path, strerror(errno));
}

/* 0; or -1, and it is worth to come again. */
static int
take_refusal(struct message *m)
{
	switch (get_u32(m)) {
	case CONTROL_BUSY:
		return -1;
	case CONTROL_ELSEWHERE:
		fail(EX_TEMPFAIL, "another process is at work in the spool "
		    "(smtpd -q, or a server of inetd's): try again");
	default:
		fail(EX_PROTOCOL, "the mail server refuses");
	}
}

/* 0; or -1: the server has no time, or has ended. */
static int
ask_once(struct talk *t, const struct message *request, struct message *reply)
{
	int n;

	if (t->fd == -1)
		open_socket(t);
	/* If it can't be sent, there may be a refusal to be read. */
	(void)message_send(t->fd, request);
	n = message_wait(t->fd, reply, 0, PATIENCE_MS);
	/* It was closed with our request unread: that is told first. */
	if (n == -1 && errno == ECONNRESET)
		n = message_wait(t->fd, reply, 0, PATIENCE_MS);
	if (n == -1 && errno == ETIMEDOUT)
		fail(EX_TEMPFAIL, "the mail server does not answer");
	if (n == -1 && errno == EBADMSG)
		fail(EX_PROTOCOL, "the mail server is not understood");
	if (n == 1 && reply->type != REPLY_REFUSED)
		return 0;
	return n == 1 ? take_refusal(reply) : -1;
}

static void
check_type(const struct message *reply, uint32_t type)
{
	if (reply->type != type)
		fail(EX_PROTOCOL, "the mail server is not understood");
}

void
talk_ask(struct talk *t, const struct message *request, uint32_t reply_type,
    struct message *reply)
{
	unsigned int tries;

	for (tries = 0; ask_once(t, request, reply) == -1; tries++) {
		talk_close(t);
		if (tries + 1 == BUSY_TRIES)
			fail(EX_TEMPFAIL, "the mail server has no time: "
			    "try again");
		sleep(1U << tries);
	}
	check_type(reply, reply_type);
}

void
talk_next(struct talk *t, uint32_t reply_type, struct message *reply)
{
	struct message request;

	message_begin(&request, REQ_NEXT);
	if (ask_once(t, &request, reply) == -1)
		fail(EX_TEMPFAIL, "the mail server went away: try again");
	check_type(reply, reply_type);
}

void
talk_end(struct message *reply)
{
	if (get_end(reply) == -1)
		fail(EX_PROTOCOL, "the mail server is not understood");
}

void
talk_close(struct talk *t)
{
	if (t->fd != -1)
		close(t->fd);
	t->fd = -1;
}

void
talk_act(struct talk *t, uint32_t type, const struct selection *s,
    struct talk_sum *sum)
{
	struct message request, reply;

	message_begin(&request, type);
	put_selection(&request, s);
	talk_ask(t, &request, REPLY_DONE, &reply);
	sum->done += get_u32(&reply);
	sum->left += get_u32(&reply);
	sum->in_delivery += get_u32(&reply);
	sum->faults += get_u32(&reply);
	talk_end(&reply);
}
