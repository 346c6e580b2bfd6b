/*
 * listen: the listening sockets.
 *
 * Runs in the master, as root; binds, unless it was given sockets, accepts,
 * reads nothing.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "master.h"

#define ACCEPTS		32	/* in one wake-up, so that all get a turn */
#define BACKLOG		1024

static struct door {
	struct watch	watch;
	struct listener	listener;
} doors[CONFIG_LISTEN_MAX];
static size_t door_count;
static int is_paused;
static int are_given;		/* doors that are not ours to change */

/*
 * May a client be taken now?  With nobody waiting it stays in the backlog,
 * unless renewals are held back: then it is told so at once.
 */
static int
is_open(void)
{
	struct generation *g;

	if (files_changed(master.config)) {
		log_event(LOG_INFO, 0, "event=files-changed text=\"PAM, NSS "
		    "or resolver\"");
		(void)generation_start_awaited();
	}
	g = generation_newest();
	return generation_is_wanted() ||
	    (g != NULL && g->is_serving && g->waiting_count > 0);
}

static void
door_ready(struct watch *w, uint32_t events)
{
	struct door *d = w->owner;
	struct sockaddr_storage peer, local;
	socklen_t len;
	int fd, i;

	(void)events;
	for (i = 0; i < ACCEPTS; i++) {
		if (!is_open()) {
			listen_pause(1);
			return;
		}
		len = sizeof(peer);
		fd = accept4(w->fd, (struct sockaddr *)&peer, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			/* No memory, no descriptors: until the next tick. */
			if (errno != EAGAIN && errno != EINTR &&
			    errno != ECONNABORTED)
				listen_pause(1);
			return;
		}
		len = sizeof(local);
		memset(&local, 0, sizeof(local));
		(void)getsockname(fd, (struct sockaddr *)&local, &len);
		/* A socket that we were given may serve both families. */
		inherit_unmap(&peer);
		inherit_unmap(&local);
		master.served++;
		inetd_client_came();
		session_accept(fd, d->listener.service,
		    (struct sockaddr *)&peer, (struct sockaddr *)&local);
	}
}

static int
door_open(const struct listener *l)
{
	int fd, on = 1;

	fd = socket(l->address.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (l->address.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
		    sizeof(on));
	if (bind(fd, (const struct sockaddr *)&l->address,
	    l->address_len) == -1 || listen(fd, BACKLOG) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Take an open socket over from the doors that stand, or -1. */
static int
door_keep(const struct listener *l)
{
	size_t i;
	int fd;

	for (i = 0; i < door_count; i++) {
		if (doors[i].watch.fd == -1 ||
		    doors[i].listener.address_len != l->address_len ||
		    memcmp(&doors[i].listener.address, &l->address,
		    l->address_len) != 0)
			continue;
		fd = dup(doors[i].watch.fd);
		if (fd != -1)
			close_on_fork(fd);
		return fd;
	}
	return -1;
}

static int
listener_fd(const struct listener *l)
{
	int fd = door_keep(l);

	if (fd == -1)
		fd = door_open(l);
	if (fd == -1 && l->address.ss_family == AF_INET6 &&
	    (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
		log_event(LOG_NOTICE, 0, "event=no-listener address=%s "
		    "text=\"%s\"", l->text, strerror(errno));
	else if (fd == -1)
		log_event(LOG_ERR, 0, "event=no-listener address=%s "
		    "text=\"%s\"", l->text, strerror(errno));
	return fd;
}

static int
is_ours(const struct listener *l)
{
	return (master.daemon->services & 1U << l->service) != 0;
}

/* An IPv6 socket on a host without IPv6 is no reason not to start. */
static int
is_tolerable(const struct listener *l)
{
	return l->address.ss_family == AF_INET6 &&
	    (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
}

static void
door_begin(struct door *d)
{
	d->watch.ready = door_ready;
	d->watch.owner = d;
	watch_add(&d->watch, EPOLLIN);
	log_event(LOG_INFO, 0, "event=listening service=%s address=%s",
	    service_name(d->listener.service), d->listener.text);
}

void
listen_take(struct inheritance *in)
{
	struct door *d;
	size_t i;

	for (i = 0; i < in->count; i++) {
		d = &doors[i];
		d->listener.service = in->sockets[i].service;
		strlcpy(d->listener.text, "inherited",
		    sizeof(d->listener.text));
		d->watch.fd = in->sockets[i].fd;
		door_begin(d);
	}
	door_count = i;
	in->count = 0;
	are_given = 1;
}

int
listen_open(const struct config *config)
{
	int fds[CONFIG_LISTEN_MAX];
	const struct listener *mine[CONFIG_LISTEN_MAX];
	size_t i, n = 0;

	if (are_given || master.inherited->count > 0 ||
	    master.mode != START_ALONE)
		return 0;
	for (i = 0; i < config->listener_count; i++) {
		if (!is_ours(&config->listeners[i]))
			continue;
		fds[n] = listener_fd(&config->listeners[i]);
		if (fds[n] != -1)
			mine[n++] = &config->listeners[i];
		else if (!is_tolerable(&config->listeners[i])) {
			while (n > 0)
				close(fds[--n]);
			return -1;
		}
	}
	if (n == 0) {
		log_event(LOG_ERR, 0, "event=no-listener text=\"none of the "
		    "listen lines is for %s\"", master.daemon->name);
		return -1;
	}
	listen_close();
	for (i = 0; i < n; i++) {
		doors[i].listener = *mine[i];
		doors[i].watch.fd = fds[i];
		door_begin(&doors[i]);
	}
	door_count = n;
	is_paused = 0;
	return 0;
}

void
listen_pause(int pause)
{
	size_t i;

	if (is_paused == pause)
		return;
	is_paused = pause;
	for (i = 0; i < door_count; i++)
		if (doors[i].watch.fd != -1)
			watch_change(&doors[i].watch, pause ? 0 : EPOLLIN);
}

void
listen_close(void)
{
	size_t i;

	for (i = 0; i < door_count; i++)
		if (doors[i].watch.fd != -1)
			watch_close(&doors[i].watch);
	door_count = 0;
}
