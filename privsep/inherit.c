/*
 * inherit: the sockets that we were started with.
 *
 * Runs in the master, as root, before it confines itself; touches its own
 * descriptors and environment, and reads nothing from a socket.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inherit.h"

#define REFUSED_MAX	64	/* waiting clients that are told so */

static const struct {
	in_port_t	port;
	enum service	service;
} well_known[] = {
	{ 110, SERVICE_POP3 },
	{ 995, SERVICE_POP3S },
	{ 25, SERVICE_SMTP },
	{ 587, SERVICE_SUBMISSION },
	{ 465, SERVICE_SUBMISSIONS },
};
#define WELL_KNOWN	(sizeof(well_known) / sizeof(well_known[0]))

int
inherit_is_client(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct stat st, in;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return 0;
	if (ss.ss_family == AF_INET || ss.ss_family == AF_INET6)
		return 1;
	/* A service manager's log is a socket, too, but it is not input. */
	return fstat(fd, &st) == 0 && fstat(STDIN_FILENO, &in) == 0 &&
	    st.st_dev == in.st_dev && st.st_ino == in.st_ino;
}

void
inherit_unmap(struct sockaddr_storage *ss)
{
	const struct sockaddr_in6 *in6 = (const void *)ss;
	struct sockaddr_in in;

	if (ss->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return;
	memset(&in, 0, sizeof(in));
	in.sin_family = AF_INET;
	in.sin_port = in6->sin6_port;
	memcpy(&in.sin_addr, in6->sin6_addr.s6_addr + 12, 4);
	memset(ss, 0, sizeof(*ss));
	memcpy(ss, &in, sizeof(in));
}

/* A number option of a socket; -1: it has none, or is none. */
static int
socket_option(int fd, int name)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) == -1 ? -1 :
	    value;
}

/* NULL, or what is wrong with it. */
static const char *
check_socket(int fd, int *is_listening)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (socket_option(fd, SO_TYPE) == -1)
		return "not a socket";
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1 ||
	    (ss.ss_family != AF_INET && ss.ss_family != AF_INET6 &&
	    ss.ss_family != AF_UNIX))
		return "a socket, but neither IPv4, IPv6 nor Unix";
	if (socket_option(fd, SO_TYPE) != SOCK_STREAM &&
	    (ss.ss_family != AF_UNIX ||
	    socket_option(fd, SO_TYPE) != SOCK_SEQPACKET))
		return "a socket, but no stream";
	*is_listening = socket_option(fd, SO_ACCEPTCONN) == 1;
	len = sizeof(ss);
	if (!*is_listening &&
	    getpeername(fd, (struct sockaddr *)&ss, &len) == -1)
		return "a socket that neither listens nor is connected";
	return NULL;
}

/* Ours in its place: closed on exec, and never a reason to wait. */
static int
keep(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 ? -1 : 0;
}

/* A variable's number, as systemd writes it: -1 when it is none. */
static long long
number_of(const char *name, long long max)
{
	const char *text = getenv(name), *wrong;
	long long n;

	if (text == NULL)
		return -1;
	n = strtonum(text, 0, max, &wrong);
	return wrong == NULL ? n : -1;
}

/* "pop3:pop3s": a name each, in the order of the descriptors. */
static void
take_names(struct inheritance *in)
{
	const char *p = getenv("LISTEN_FDNAMES");
	size_t i, n;

	for (i = 0; p != NULL && i < in->count; i++) {
		n = strcspn(p, ":");
		if (n < sizeof(in->sockets[i].name)) {
			memcpy(in->sockets[i].name, p, n);
			in->sockets[i].name[n] = '\0';
		}
		p = p[n] == ':' ? p + n + 1 : NULL;
	}
}

/* How many descriptors a service manager has given to us; -1: nonsense. */
static long long
given(void)
{
	long long n;

	if (getenv("LISTEN_FDS") == NULL ||
	    number_of("LISTEN_PID", INT32_MAX) != getpid())
		return 0;
	n = number_of("LISTEN_FDS", INHERIT_MAX);
	return n;
}

static const char *
find_systemd(struct inheritance *in)
{
	const char *wrong;
	long long n = given();
	int listens;
	size_t i;

	if (n == -1)
		return "LISTEN_FDS is no number, or too large a one";
	in->count = (size_t)n;
	take_names(in);
	for (i = 0; i < in->count; i++) {
		in->sockets[i].fd = INHERIT_FIRST + (int)i;
		wrong = check_socket(in->sockets[i].fd, &listens);
		if (wrong != NULL)
			return wrong;
		if (!listens && in->count != 1)
			return "a connection among other sockets";
		if (!listens)
			in->mode = START_NOWAIT;
	}
	return NULL;
}

static const char *
find_inetd(struct inheritance *in)
{
	const char *wrong;
	int listens;

	wrong = check_socket(STDIN_FILENO, &listens);
	if (wrong != NULL)
		return wrong;
	in->mode = listens ? START_WAIT : START_NOWAIT;
	in->count = 1;
	in->sockets[0].fd = INHERIT_FIRST;
	return dup2(STDIN_FILENO, INHERIT_FIRST) == -1 ? strerror(errno) : NULL;
}

int
inherit_find(struct inheritance *in, int is_inetd, const char **wrong)
{
	size_t i;

	memset(in, 0, sizeof(*in));
	*wrong = is_inetd ? find_inetd(in) : find_systemd(in);
	for (i = 0; *wrong == NULL && i < in->count; i++)
		if (keep(in->sockets[i].fd) == -1)
			*wrong = strerror(errno);
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return *wrong == NULL ? 0 : -1;
}

static in_port_t
port_of(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *in4 = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;

	if (ss->ss_family == AF_UNIX)
		return 0;
	return ntohs(ss->ss_family == AF_INET ? in4->sin_port :
	    in6->sin6_port);
}

/* "pop3s", or systemd's own "pop3s.socket"; 0: it names no service. */
static enum service
service_of_name(const char *name)
{
	char word[sizeof(((struct inherited *)0)->name)];
	size_t n = strlen(name), end = strlen(".socket");

	strlcpy(word, name, sizeof(word));
	if (n > end && strcmp(word + n - end, ".socket") == 0)
		word[n - end] = '\0';
	return service_find(word);
}

static enum service
service_of_port(in_port_t port, uint32_t ours, const struct config *config)
{
	size_t i;

	for (i = 0; i < WELL_KNOWN; i++)
		if (well_known[i].port == port &&
		    (ours & 1U << well_known[i].service) != 0)
			return well_known[i].service;
	for (i = 0; i < config->listener_count; i++)
		if (port_of(&config->listeners[i].address) == port &&
		    (ours & 1U << config->listeners[i].service) != 0)
			return config->listeners[i].service;
	/* Plain services come first of their kind. */
	return (ours & 1U << SERVICE_POP3) != 0 ? SERVICE_POP3 : SERVICE_SMTP;
}

/* By its type, and by the listen line with its path. */
static enum service
service_of_path(int fd, const struct sockaddr_storage *ss,
    const struct config *config)
{
	const struct sockaddr_un *un = (const void *)ss, *have;
	size_t i;

	if (socket_option(fd, SO_TYPE) == SOCK_SEQPACKET)
		return SERVICE_CONTROL;
	for (i = 0; i < config->listener_count; i++) {
		have = (const void *)&config->listeners[i].address;
		if (have->sun_family == AF_UNIX &&
		    strcmp(have->sun_path, un->sun_path) == 0)
			return config->listeners[i].service;
	}
	return SERVICE_LOCAL;
}

static enum service
service_of(const struct inherited *s, const struct inheritance *in,
    uint32_t ours, const struct config *config)
{
	enum service service = service_of_name(s->name);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (service != 0)
		return service;
	/* The file is both daemons': this may be said to the other. */
	if (in->mode != START_ALONE && config->inetd_service != 0 &&
	    (ours & 1U << config->inetd_service) != 0)
		return config->inetd_service;
	memset(&ss, 0, sizeof(ss));
	(void)getsockname(s->fd, (struct sockaddr *)&ss, &len);
	if (ss.ss_family == AF_UNIX)
		return service_of_path(s->fd, &ss, config);
	return service_of_port(port_of(&ss), ours, config);
}

/*
 * A user is known on a Unix socket only, whole requests are control's, and that
 * needs a queue that runs.
 */
static int
is_fitting(const struct inherited *s, enum start_mode mode)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	memset(&ss, 0, sizeof(ss));
	(void)getsockname(s->fd, (struct sockaddr *)&ss, &len);
	if (s->service == SERVICE_CONTROL && mode != START_ALONE)
		return 0;
	return service_is_local(s->service) == (ss.ss_family == AF_UNIX) &&
	    (s->service == SERVICE_CONTROL) ==
	    (socket_option(s->fd, SO_TYPE) == SOCK_SEQPACKET);
}

int
inherit_services(struct inheritance *in, const struct daemon *daemon,
    const struct config *config, const char **wrong)
{
	struct inherited *s;

	for (s = in->sockets; s < in->sockets + in->count; s++) {
		s->service = service_of(s, in, daemon->services, config);
		if ((daemon->services & 1U << s->service) == 0) {
			*wrong = "a socket is named as a service of another "
			    "daemon";
			return -1;
		}
		if (!is_fitting(s, in->mode)) {
			*wrong = "a socket is of another kind than its "
			    "service";
			return -1;
		}
	}
	return 0;
}

void
inherit_refuse(struct inheritance *in, const struct daemon *daemon)
{
	int client, left = REFUSED_MAX;
	size_t i;

	for (i = 0; i < in->count; i++) {
		if (in->mode == START_NOWAIT)
			daemon_refuse(daemon, in->sockets[i].fd,
			    in->sockets[i].service);
		/*
		 * inetd starts us again as long as somebody waits: without
		 * end, if that were left to the next one.
		 */
		while (in->mode == START_WAIT && left-- > 0 && (client =
		    accept4(in->sockets[i].fd, NULL, NULL,
		    SOCK_CLOEXEC)) != -1) {
			daemon_refuse(daemon, client,
			    in->sockets[i].service);
			close(client);
		}
	}
	in->count = 0;
}
