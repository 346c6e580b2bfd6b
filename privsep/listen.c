/*
 * listen: the listening sockets.
 *
 * Runs in the master, as root; binds, unless it was given sockets, accepts,
 * reads nothing.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "hurry.h"
#include "local.h"
#include "log.h"
#include "master.h"

#define ACCEPTS		32	/* in one wake-up, so that all get a turn */
#define LOCAL_MAX	2	/* sockets in run-dir */
#define DOORS_MAX	(CONFIG_LISTEN_MAX + INHERIT_MAX + LOCAL_MAX)
#define BACKLOG		1024

static struct door {
	struct watch	watch;
	struct listener	listener;
	struct stat	file;		/* of a Unix socket that we made */
	int		is_given;	/* not ours to change or to close */
} doors[DOORS_MAX];
static size_t door_count;
static int is_paused;
static int is_control_paused;
static int are_given;		/* the configuration's listeners are not used */

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

/*
 * The queue's own clients: no worker is needed for them, so they come in when
 * others have to wait.
 */
static void
control_ready(struct watch *w, uint32_t events)
{
	int fd, i;

	(void)events;
	for (i = 0; i < ACCEPTS; i++) {
		fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1 && errno != EAGAIN && errno != EINTR &&
		    errno != ECONNABORTED) {
			is_control_paused = 1;
			watch_change(w, 0);
		}
		if (fd == -1)
			return;
		session_control(fd);
	}
}

static int
door_open(const struct listener *l, gid_t gid, struct stat *file)
{
	int fd, on = 1;

	if (service_is_local(l->service))
		return local_open(l, gid, file);
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

static int
is_same_place(const struct listener *a, const struct listener *b)
{
	return a->address_len == b->address_len &&
	    memcmp(&a->address, &b->address, a->address_len) == 0;
}

/* The door of ours that stands there already, or NULL. */
static const struct door *
door_at(const struct listener *l)
{
	const struct door *d;

	for (d = doors; d < doors + door_count; d++)
		if (d->watch.fd != -1 && !d->is_given &&
		    is_same_place(&d->listener, l))
			return d;
	return NULL;
}

/* Take an open socket over from the doors that stand, or -1. */
static int
door_keep(const struct listener *l, struct stat *file)
{
	const struct door *d = door_at(l);
	int fd;

	if (d == NULL)
		return -1;
	*file = d->file;
	fd = dup(d->watch.fd);
	if (fd != -1)
		close_on_fork(fd);
	return fd;
}

static int
listener_fd(const struct listener *l, gid_t gid, struct stat *file)
{
	int fd = door_keep(l, file);

	if (fd == -1)
		fd = door_open(l, gid, file);
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
door_begin(const struct listener *l, int fd, const struct stat *file)
{
	struct door *d = doors;

	/* They stay where they are: the event loop knows their place. */
	while (d < doors + door_count && d->watch.fd != -1)
		d++;
	if (d == doors + door_count)
		door_count++;
	memset(d, 0, sizeof(*d));
	d->listener = *l;
	d->is_given = file == NULL;
	if (file != NULL)
		d->file = *file;
	d->watch.fd = fd;
	d->watch.ready = l->service == SERVICE_CONTROL ? control_ready :
	    door_ready;
	d->watch.owner = d;
	watch_add(&d->watch, EPOLLIN);
	log_event(LOG_INFO, 0, "event=listening service=%s address=%s",
	    service_name(l->service), l->text);
}

void
listen_take(struct inheritance *in)
{
	struct listener l;
	size_t i;

	memset(&l, 0, sizeof(l));
	strlcpy(l.text, "inherited", sizeof(l.text));
	for (i = 0; i < in->count; i++) {
		l.service = in->sockets[i].service;
		door_begin(&l, in->sockets[i].fd, NULL);
	}
	in->count = 0;
	are_given = 1;
}

/* Has somebody else opened this service for us? */
static int
is_inherited(enum service service)
{
	size_t i;

	for (i = 0; i < door_count; i++)
		if (doors[i].watch.fd != -1 && doors[i].is_given &&
		    doors[i].listener.service == service)
			return 1;
	for (i = 0; i < master.inherited->count; i++)
		if (master.inherited->sockets[i].service == service)
			return 1;
	return 0;
}

static int
is_among(const struct listener *l, const struct listener *wanted, size_t n)
{
	while (n > 0)
		if (is_same_place(&wanted[--n], l))
			return 1;
	return 0;
}

/* One of the sockets in run-dir; 0, or -1: it can't be there. */
static int
add_local(struct listener *wanted, size_t *n, enum service service,
    const char *name, const struct config *config)
{
	if (name == NULL || is_inherited(service))
		return 0;
	if (local_listener(&wanted[*n], service, config->run_dir, name) == 0) {
		if (!is_among(&wanted[*n], wanted, *n)) {
			(*n)++;
			return 0;
		}
		errno = EADDRINUSE;
	}
	log_event(LOG_ERR, 0, "event=no-listener address=%s/%s text=\"%s\"",
	    config->run_dir, name, strerror(errno));
	return -1;
}

/* All that we open ourselves; 0, or -1: it can't be all. */
static int
list_wanted(const struct config *config, struct listener *wanted, size_t *n)
{
	size_t i;

	*n = 0;
	for (i = 0; i < config->listener_count; i++)
		if (!are_given && master.inherited->count == 0 &&
		    is_ours(&config->listeners[i]))
			wanted[(*n)++] = config->listeners[i];
	if (*n == 0 && !are_given && master.inherited->count == 0) {
		log_event(LOG_ERR, 0, "event=no-listener text=\"none of the "
		    "listen lines is for %s\"", master.daemon->name);
		return -1;
	}
	return add_local(wanted, n, SERVICE_LOCAL,
	    master.daemon->local_socket, config) == -1 ||
	    add_local(wanted, n, SERVICE_CONTROL,
	    master.daemon->control_socket, config) == -1 ? -1 : 0;
}

/* Close what is ours, and remove the files of what is not wanted again. */
static void
doors_close(const struct listener *wanted, size_t n)
{
	struct door *d;

	for (d = doors; d < doors + door_count; d++) {
		if (d->watch.fd == -1 || d->is_given)
			continue;
		if (service_is_local(d->listener.service) &&
		    !is_among(&d->listener, wanted, n))
			local_remove(&d->listener, &d->file);
		/* With those who have come and sent, but were not served. */
		hurry_begin();
		watch_close(&d->watch);
		hurry_end();
	}
}

/* Close what was opened for nothing: the doors that stand stay. */
static void
drop(const struct listener *wanted, const int *fds, const struct stat *files,
    size_t n)
{
	while (n-- > 0) {
		if (service_is_local(wanted[n].service) &&
		    door_at(&wanted[n]) == NULL)
			local_remove(&wanted[n], &files[n]);
		close(fds[n]);
	}
}

int
listen_open(const struct config *config)
{
	static struct listener wanted[CONFIG_LISTEN_MAX + LOCAL_MAX];
	struct stat files[CONFIG_LISTEN_MAX + LOCAL_MAX];
	int fds[CONFIG_LISTEN_MAX + LOCAL_MAX];
	size_t i, count, n = 0;

	if (master.mode != START_ALONE)
		return 0;
	if (list_wanted(config, wanted, &count) == -1)
		return -1;
	memset(files, 0, sizeof(files));
	for (i = 0; i < count; i++) {
		fds[n] = listener_fd(&wanted[i], config->queue_user.gid,
		    &files[n]);
		if (fds[n] != -1)
			wanted[n++] = wanted[i];
		else if (!is_tolerable(&wanted[i])) {
			drop(wanted, fds, files, n);
			return -1;
		}
	}
	doors_close(wanted, n);
	for (i = 0; i < n; i++)
		door_begin(&wanted[i], fds[i], &files[i]);
	is_paused = 0;
	return 0;
}

void
listen_pause(int pause)
{
	struct door *d;

	for (d = doors; d < doors + door_count; d++) {
		if (d->watch.fd == -1)
			continue;
		if (d->listener.service != SERVICE_CONTROL) {
			if (is_paused != pause)
				watch_change(&d->watch, pause ? 0 : EPOLLIN);
		} else if (is_control_paused && !pause)
			watch_change(&d->watch, EPOLLIN);
	}
	is_paused = pause;
	if (!pause)
		is_control_paused = 0;
}

void
listen_close(void)
{
	struct door *d;

	doors_close(NULL, 0);
	for (d = doors; d < doors + door_count; d++)
		if (d->watch.fd != -1)
			watch_close(&d->watch);
	door_count = 0;
}
