/*
 * client_name: what a client's host is called.
 *
 * Runs in the session agent, as queue-user; touches the channel on which the
 * resolver tells it, in one message, which is believed no more than strangers
 * are, whom the resolver asks (C21): a host's name, or none.
 */
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "privsep/message.h"
#include "smtpd/client_name.h"
#include "smtpd/dns_reverse.h"

static uint64_t
milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void
client_name_begin(struct client_name *c, const struct config *config,
    const struct facts *facts, int fd)
{
	c->fd = fd;
	c->text[0] = '\0';
	if (!config->client_names || facts->service != SERVICE_SMTP)
		return;
	strlcpy(c->text, (facts->flags & FACT_LOOPBACK) != 0 ? "localhost" :
	    "unknown", sizeof(c->text));
	if (fd != -1)
		c->deadline = milliseconds() + CLIENT_NAME_MS;
}

void
client_name_end(struct client_name *c)
{
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
}

static void
hear(struct client_name *c)
{
	char name[HOSTNAME_MAX];
	struct message m;

	if (message_recv(c->fd, &m, 0) == 1 && m.type == REPLY_NAME) {
		get_str(&m, name, sizeof(name));
		if (get_end(&m) == 0 && dns_reverse_is_name(name))
			strlcpy(c->text, name, sizeof(c->text));
	}
	client_name_end(c);
}

const char *
client_name_now(struct client_name *c)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };

	if (c->fd != -1 && poll(&pfd, 1, 0) == 1)
		hear(c);
	return c->text;
}

const char *
client_name_wait(struct client_name *c, int gate)
{
	struct pollfd pfd[2] = {
		{ .fd = c->fd, .events = POLLIN }, { .fd = gate }
	};
	uint64_t now;

	if (c->fd == -1)
		return c->text;
	now = milliseconds();
	if (now < c->deadline)
		(void)poll(pfd, 2, (int)(c->deadline - now));
	(void)client_name_now(c);
	/* Not again for the next letter. */
	client_name_end(c);
	return c->text;
}
