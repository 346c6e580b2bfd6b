/* LINK: privsep/sandbox-linux privsep/sandbox-tables privsep/log privsep/message */
/*
 * The tables of those that send mail to other hosts, each in a process of its
 * own: what they need works, and anything else ends them.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/sandbox.h"

#define KILLED	(-1)

static int channel[2];		/* SEQPACKET, as all of them have */
static int server;		/* listens on 127.0.0.1:port */
static struct sockaddr_in server_address = { .sin_family = AF_INET };

static int
set_up(void **state)
{
	socklen_t len = sizeof(server_address);

	(void)state;
	server_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server = socket(AF_INET, SOCK_STREAM, 0);
	if (server == -1 || bind(server, (void *)&server_address, len) == -1 ||
	    listen(server, 16) == -1 || getsockname(server,
	    (void *)&server_address, &len) == -1)
		return -1;
	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel);
}

/* The errno of what is done within a table, 0 if it worked, or KILLED. */
static int
within(enum sandbox_table table, int (*act)(void))
{
	struct sandbox_filter filter;
	int status;
	pid_t pid;

	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		sandbox_compile(table, &filter);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
			_exit(200);
		sandbox_install(&filter);
		errno = 0;
		/* Not _exit(): a sanitizer's has calls of its own. */
		syscall(SYS_exit_group, act() == -1 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return KILLED;
	}
	return WEXITSTATUS(status);
}

static int
do_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, r, error;
	socklen_t len = sizeof(error);
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	if (fd == -1 || bind(fd, (void *)&any, sizeof(any)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == -1)
		return -1;
	r = connect(fd, (void *)&server_address, sizeof(server_address));
	if (r == -1 && errno != EINPROGRESS)
		return -1;
	return poll(&pfd, 1, 10000) == 1 && getsockopt(fd, SOL_SOCKET,
	    SO_ERROR, &error, &len) == 0 && error == 0 ? 0 : -1;
}

/* A socket that holds up whoever closes it last. */
static int
do_linger(void)
{
	struct linger wait = { 1, 1000 };

	return setsockopt(server, SOL_SOCKET, SO_LINGER, &wait, sizeof(wait));
}

static int
do_odd_linger(void)
{
	struct linger wait = { 1, 1000 };

	return (int)syscall(SYS_setsockopt, (long)server, (long)SOL_SOCKET,
	    (long)SO_LINGER | 1L << 32, &wait, (long)sizeof(wait));
}

static int
do_tcp6(void)
{
	return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int
do_unix(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX,
	    .sun_path = "/nonexistent/socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	return connect(fd, (void *)&un, sizeof(un)) == -1 && errno == ENOENT ?
	    0 : -1;
}

static int
do_udp(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	return fd == -1 ? -1 : (int)sendto(fd, "", 0, 0,
	    (void *)&server_address, sizeof(server_address));
}

static int
do_event_loop(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd != -1 && epoll_ctl(fd, EPOLL_CTL_ADD, channel[0], &ev) == 0 &&
	    epoll_wait(fd, &ev, 1, 0) == 0 &&
	    fcntl(channel[0], F_SETFL, O_NONBLOCK) == 0 ? 0 : -1;
}

/* A descriptor comes by message, as the queue sends it. */
static int
do_receive_descriptor(void)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { .buf = "" };
	char octet = 'x';
	struct iovec iov = { .iov_base = &octet, .iov_len = 1 };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &channel[0], sizeof(int));
	return sendmsg(channel[0], &hdr, 0) == 1 &&
	    recvmsg(channel[1], &hdr, MSG_CMSG_CLOEXEC) == 1 ? 0 : -1;
}

static int
do_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

static int
do_raw(void)
{
	return socket(AF_INET, SOCK_RAW, 1);
}

static int
do_unix_datagram(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0);
}

/* Bits above those that the kernel looks at do not hide a family. */
static int
do_odd_family(void)
{
	return (int)syscall(SYS_socket, (long)AF_NETLINK | 1L << 32,
	    (long)SOCK_RAW, 0L);
}

static int
do_listen(void)
{
	return listen(server, 1);
}

static int
do_accept(void)
{
	return accept4(server, NULL, NULL, SOCK_NONBLOCK);
}

static int
do_open(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
}

static int
do_exec(void)
{
	char *none[] = { NULL };

	return execve("/bin/true", none, none);
}

static int
do_fork(void)
{
	return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static int
do_kill(void)
{
	return kill(getppid(), 0);
}

static int
do_run_data(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int
do_ioctl(void)
{
	int n;

	return (int)syscall(SYS_ioctl, channel[0], 0x8905L /* SIOCATMARK */,
	    &n);
}

static const struct {
	const char	*name;
	int		(*act)(void);
	int		 relay, resolver, queue;	/* what becomes of it */
} calls[] = {
	{ "descriptor", do_receive_descriptor, 0, 0, 0 },
	{ "tcp", do_tcp, KILLED, 0, 0 },
	{ "linger", do_linger, KILLED, KILLED, KILLED },
	{ "odd linger", do_odd_linger, KILLED, KILLED, KILLED },
	{ "tcp6", do_tcp6, KILLED, 0, 0 },
	{ "unix", do_unix, KILLED, KILLED, 0 },
	{ "udp", do_udp, KILLED, 0, KILLED },
	{ "epoll", do_event_loop, KILLED, 0, KILLED },
	{ "netlink", do_netlink, KILLED, KILLED, KILLED },
	{ "raw", do_raw, KILLED, KILLED, KILLED },
	{ "unix datagram", do_unix_datagram, KILLED, KILLED, KILLED },
	{ "odd family", do_odd_family, KILLED, KILLED, KILLED },
	{ "listen", do_listen, KILLED, KILLED, KILLED },
	{ "accept", do_accept, KILLED, KILLED, KILLED },
	{ "open", do_open, KILLED, KILLED, 0 },
	{ "exec", do_exec, KILLED, KILLED, KILLED },
	{ "fork", do_fork, KILLED, KILLED, KILLED },
	{ "kill", do_kill, KILLED, KILLED, KILLED },
	{ "run data", do_run_data, KILLED, KILLED, KILLED },
	{ "ioctl", do_ioctl, KILLED, KILLED, KILLED },
};

static void
test_tables(void **state)
{
	int relay, resolver, queue;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		relay = within(SANDBOX_RELAY, calls[i].act);
		resolver = within(SANDBOX_RESOLVER, calls[i].act);
		queue = within(SANDBOX_QUEUE, calls[i].act);
		if (relay != calls[i].relay || resolver != calls[i].resolver ||
		    queue != calls[i].queue)
			fail_msg("%s: relay %d, resolver %d, queue %d",
			    calls[i].name, relay, resolver, queue);
	}
}

/* Of a fork with these flags: 0, or an errno. */
static int
clone_with(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid == -1 || waitpid((pid_t)pid, NULL, 0) != pid ? -1 : 0;
}

static int
do_plain_fork(void)
{
	return clone_with(0);
}

static int
do_fork_of_user_namespace(void)
{
	return clone_with(CLONE_NEWUSER);
}

static int
do_fork_of_network(void)
{
	return clone_with(CLONE_NEWNET | 1UL << 32);
}

static int
do_clone3(void)
{
	uint64_t args[8] = { 0 };

	return (int)syscall(SYS_clone3, args, 0);
}

/* Whoever may fork may not have a namespace of his own by it. */
static void
test_forks(void **state)
{
	static const enum sandbox_table rooms[] = {
		SANDBOX_MASTER, SANDBOX_LOGIN, SANDBOX_AGENTS, SANDBOX_SPOOL,
		SANDBOX_PROGRAMS,
	};
	static const enum sandbox_table lists[] = {
		SANDBOX_SPAWNER, SANDBOX_RELAY_SPAWNER,
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		assert_int_equal(within(rooms[i], do_plain_fork), 0);
		assert_int_equal(within(rooms[i], do_fork_of_user_namespace),
		    EPERM);
		assert_int_equal(within(rooms[i], do_fork_of_network), EPERM);
		assert_int_equal(within(rooms[i], do_clone3), ENOSYS);
	}
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		assert_int_equal(within(lists[i], do_plain_fork), 0);
		assert_int_equal(within(lists[i], do_fork_of_user_namespace),
		    KILLED);
		assert_int_equal(within(lists[i], do_fork_of_network), KILLED);
		assert_int_equal(within(lists[i], do_clone3), ENOSYS);
	}
}

static void
test_relay_spawner(void **state)
{
	(void)state;
	assert_int_equal(within(SANDBOX_RELAY_SPAWNER, do_tcp), KILLED);
	assert_int_equal(within(SANDBOX_RELAY_SPAWNER, do_open), KILLED);
	assert_int_equal(within(SANDBOX_RELAY_SPAWNER, do_exec), KILLED);
}

static int
bind_port(in_port_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
	    .sin_port = htons(port) };
	int r, fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r = fd == -1 ? -1 : bind(fd, (void *)&in, sizeof(in));
	return r == -1 ? errno : 0;
}

/*
 * Landlock: who connects may do that, from any port but one of his own choice;
 * who does not may do neither.  Files are out of reach of both.
 */
static void
landlocked(int is_client)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		_exit(100);
	if (is_client)
		sandbox_landlock_client(NULL, 0);
	else
		sandbox_landlock(NULL, 0);
	if (open("/etc/passwd", O_RDONLY) != -1 || errno != EACCES)
		_exit(101);
	r = connect(fd, (void *)&server_address, sizeof(server_address));
	if (is_client ? r == -1 : r != -1 || errno != EACCES)
		_exit(102);
	if (bind_port(0) != (is_client ? 0 : EACCES))
		_exit(103);
	if (bind_port(1) != EACCES || bind_port(61234) != EACCES)
		_exit(104);
	_exit(0);
}

static void
test_landlock(void **state)
{
	int is_client, status;
	long version;
	pid_t pid;

	(void)state;
	/* LANDLOCK_CREATE_RULESET_VERSION; 4 is the first with ports. */
	version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	if (version < 4)
		skip();
	for (is_client = 0; is_client < 2; is_client++) {
		pid = fork();
		if (pid == 0)
			landlocked(is_client);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("client %d: %#x", is_client, status);
	}
}

static int
do_fifo(void)
{
	char name[64];
	int r;

	snprintf(name, sizeof(name), "/tmp/sandbox.%d", (int)getpid());
	r = mknod(name, S_IFIFO | 0600, 0);
	if (r == 0)
		r = unlink(name);
	return r;
}

static int
do_device(void)
{
	return mknod("/tmp/sandbox.device", S_IFCHR | 0600, makedev(1, 3));
}

static int
do_run(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	errno = EPERM;
	return pid != -1 && waitpid(pid, &status, 0) == pid && status == 0 ?
	    0 : -1;
}

static int
do_trace(void)
{
	return (int)syscall(SYS_ptrace, 0, 0, 0, 0);
}

/* What users' programs may do, and the master; nobody else. */
static void
test_programs(void **state)
{
	(void)state;
	assert_int_equal(within(SANDBOX_PROGRAMS, do_fifo), 0);
	assert_int_equal(within(SANDBOX_MASTER, do_fifo), 0);
	assert_int_equal(within(SANDBOX_LOGIN, do_fifo), EPERM);
	assert_int_equal(within(SANDBOX_AGENTS, do_fifo), EPERM);
	assert_int_equal(within(SANDBOX_PROGRAMS, do_device), EPERM);
	assert_int_equal(within(SANDBOX_MASTER, do_device), EPERM);
	assert_int_equal(within(SANDBOX_PROGRAMS, do_tcp), 0);
	assert_int_equal(within(SANDBOX_PROGRAMS, do_udp), 0);
	assert_int_equal(within(SANDBOX_PROGRAMS, do_run), 0);
	assert_int_equal(within(SANDBOX_AGENTS, do_run), EPERM);
	assert_int_equal(within(SANDBOX_PROGRAMS, do_trace), EPERM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_forks),
		cmocka_unit_test(test_relay_spawner),
		cmocka_unit_test(test_landlock),
	};

	return cmocka_run_group_tests_name("test_sandbox", tests, set_up,
	    NULL);
}
