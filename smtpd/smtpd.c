/*
 * smtpd: the SMTP daemon's master, told what SMTP is.
 *
 * Runs as root; see privsep/master.c for what it may touch.  Makes the spool
 * directory if it is missing; what is in it is the queue's.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../privsep/daemon.h"

static int
needs_login(enum service service)
{
	return service_is_submission(service);
}

static int
is_empty(int dir)
{
	const struct dirent *entry;
	int copy = dup(dir), names = 0;
	DIR *d = copy != -1 ? fdopendir(copy) : NULL;

	if (d == NULL) {
		if (copy != -1)
			close(copy);
		return 0;
	}
	/* Besides "." and "..". */
	while (names <= 2 && (entry = readdir(d)) != NULL)
		names++;
	closedir(d);
	return names <= 2;
}

/* Root's fresh directory becomes the queue's; it is looked at again in *st. */
static int
give_to_queue(int dir, const struct config *config, struct stat *st)
{
	if (st->st_uid != 0 || !is_empty(dir))
		return 0;
	return fchmod(dir, 0700) == -1 || fchown(dir, config->queue_user.uid,
	    config->queue_user.gid) == -1 || fstat(dir, st) == -1 ? -1 : 0;
}

/*
 * The spool is queue-user's, nobody else's.  It is changed only through a
 * descriptor that was seen to be root's fresh directory: another that somebody
 * named by mistake stays as it is.
 */
static int
make_spool(const struct config *config)
{
	const char *dir = config->spool_dir;
	uid_t queue = config->queue_user.uid;
	struct stat st;
	int fd;

	if (mkdir(dir, 0700) == -1 && errno != EEXIST)
		goto fail;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		goto fail;
	if (fstat(fd, &st) == -1 || give_to_queue(fd, config, &st) == -1) {
		close(fd);
		goto fail;
	}
	close(fd);
	if (st.st_uid == queue && (st.st_mode & 077) == 0)
		return 0;
	daemon_complain("%s: must be owned by %s, with mode 0700", dir,
	    config->queue_user.name);
	return -1;
fail:
	daemon_complain("%s: %s", dir, strerror(errno));
	return -1;
}

int
main(int argc, char **argv)
{
	static const struct daemon smtpd = {
		.name = "smtpd",
		.spawner = "smtpd-worker",
		.agents = "smtpd-agents",
		.programs = "smtpd-programs",
		.queue = "smtpd-queue",
		.relay = "smtpd-relay",
		.resolver = "smtpd-resolver",
		.local_socket = "smtpd.sock",
		.control_socket = "smtpd.ctl",
		.services = 1U << SERVICE_SMTP | 1U << SERVICE_SUBMISSION |
		    1U << SERVICE_SUBMISSIONS | 1U << SERVICE_LMTP |
		    1U << SERVICE_LOCAL | 1U << SERVICE_CONTROL,
		.named = 1U << SERVICE_SMTP,
		.needs_login = needs_login,
		.prepare = make_spool,
		.refusal = "421 4.3.2 too busy, try again later\r\n",
	};

	return daemon_main(&smtpd, argc, argv);
}
