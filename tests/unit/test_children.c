/* LINK: privsep/children privsep/sigchld privsep/crash privsep/facts privsep/message privsep/log */
/*
 * The forks of login and relay: one a session, not more for the queue than it
 * may have, and the others undisturbed by that.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/children.h"
#include "privsep/log.h"
#include "privsep/message.h"

#define PATIENCE	60000	/* ms */

static int channel;		/* the master's end */
static pid_t role;

/* Until the other end is closed. */
static void
live(const struct facts *facts, int sock)
{
	char octet;

	(void)facts;
	(void)write(sock, "x", 1);
	(void)read(sock, &octet, 1);
	_exit(0);
}

static int
setup(void **state)
{
	static struct children children;
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	channel = pair[0];
	role = fork();
	if (role == 0) {
		close(pair[0]);
		if (dup2(pair[1], FD_MASTER) == -1)
			_exit(1);
		closefrom(FD_MASTER + 1);
		children_init(&children);
		children_serve(&children, "test", 0, live);
		_exit(0);
	}
	close(pair[1]);
	return role == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	int status;

	(void)state;
	close(channel);
	return waitpid(role, &status, 0) == role && status == 0 ? 0 : -1;
}

/* Our end of a session that a child of the role is to serve. */
static int
serve(enum service service)
{
	struct message m;
	struct facts f;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    pair), 0);
	facts_init(&f);
	f.service = service;
	f.session = 1;
	message_begin(&m, CH_SERVE);
	put_facts(&m, &f);
	put_fd(&m, pair[1]);
	assert_int_equal(message_send(channel, &m), 0);
	close(pair[1]);
	return pair[0];
}

static int
is_served(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char octet;

	assert_int_equal(poll(&pfd, 1, PATIENCE), 1);
	return read(fd, &octet, 1) == 1;
}

static void
test_the_queue_has_no_more_than_its_part(void **state)
{
	static const enum service its[] = {
		SERVICE_DELIVERY, SERVICE_PROGRAM, SERVICE_RELAY
	};
	static int fds[CHILDREN_FOR_QUEUE];
	int fd, i;

	(void)state;
	for (i = 0; i < CHILDREN_FOR_QUEUE; i++) {
		fds[i] = serve(its[i % 3]);
		assert_true(is_served(fds[i]));
	}
	for (i = 0; i < 3; i++) {
		fd = serve(its[i]);
		assert_false(is_served(fd));
		close(fd);
	}
	/* Users come in as ever. */
	fd = serve(SERVICE_POP3);
	assert_true(is_served(fd));
	close(fd);
	/* One ends, one may come: its end has been seen, or will be soon. */
	close(fds[0]);
	for (i = 0; i < PATIENCE / 10; i++) {
		fd = serve(SERVICE_RELAY);
		if (is_served(fd))
			break;
		close(fd);
		(void)poll(NULL, 0, 10);
	}
	assert_in_range(i, 0, PATIENCE / 10 - 1);
	close(fd);
	for (i = 1; i < CHILDREN_FOR_QUEUE; i++)
		close(fds[i]);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_the_queue_has_no_more_than_its_part, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
