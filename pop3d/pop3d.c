/*
 * pop3d: the POP3 daemon's master, told what POP3 is.
 *
 * Runs as root; see privsep/master.c for what it may touch.
 */
#include "../privsep/daemon.h"

static int
needs_login(enum service service)
{
	(void)service;
	return 1;
}

int
main(int argc, char **argv)
{
	static const struct daemon pop3d = {
		.name = "pop3d",
		.spawner = "pop3d-worker",
		.agents = "pop3d-agents",
		.services = 1U << SERVICE_POP3 | 1U << SERVICE_POP3S,
		.needs_login = needs_login,
		.refusal = "-ERR [SYS/TEMP] too busy, try again later\r\n",
	};

	return daemon_main(&pop3d, argc, argv);
}
