/*
 * daemon: options, configuration, going to the background; then the master.
 *
 * Runs as root, before the master confines itself; reads the configuration
 * file and makes the run directory.
 */
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"
#include "master.h"
#include "syslog.h"

#define OVERRIDES_MAX	64

static struct {
	const struct daemon	*daemon;
	const char		*file;		/* -f, or the default */
	int			 is_default_file;
	const char		*overrides[OVERRIDES_MAX];
	size_t			 override_count;
	int			 is_debug;
	int			 started;	/* pipe to the parent, or -1 */
	char			 pid_file[CONFIG_PATH_MAX + 64];
} self = {
	.file = SYSCONFDIR "/postern/postern.conf",
	.is_default_file = 1,
	.started = -1
};

static void
usage(void)
{
	fprintf(stderr,
	    "usage: %s [-dn] [-f file] [-o 'keyword value']...\n",
	    self.daemon->name);
	exit(2);
}

/* A mistake in the configuration: to the terminal, or to the log on HUP. */
static void
report(const char *text)
{
	if (self.started == -2)
		log_event(LOG_ERR, 0, "event=configuration text=\"%s\"", text);
	else
		fprintf(stderr, "%s: %s\n", self.daemon->name, text);
}

static int
load(struct config *config)
{
	size_t i;
	int r;

	config_default(config);
	r = config_read(config, self.file, self.is_default_file, report);
	for (i = 0; i < self.override_count; i++)
		if (config_line(config, self.overrides[i], "-o", report) == -1)
			r = -1;
	if (r == 0)
		r = config_finish(config, report);
	return r;
}

static int
reload(struct config *config)
{
	return load(config) == -1 || config_resolve(config, report) == -1 ?
	    -1 : 0;
}

/* The run directory and the empty one in it, root's alone to change. */
static void
make_run_dir(const struct config *config)
{
	char empty[CONFIG_PATH_MAX + 8];

	snprintf(empty, sizeof(empty), "%s/empty", config->run_dir);
	if ((mkdir(config->run_dir, 0755) == -1 && errno != EEXIST) ||
	    (mkdir(empty, 0555) == -1 && errno != EEXIST)) {
		fprintf(stderr, "%s: %s: %s\n", self.daemon->name, empty,
		    strerror(errno));
		exit(1);
	}
}

static void
null_stdio(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(null, STDOUT_FILENO) == -1 ||
	    dup2(null, STDERR_FILENO) == -1)
		fatal("/dev/null");
	if (null > STDERR_FILENO)
		close(null);
}

static void
write_pid_file(void)
{
	int fd;

	fd = open(self.pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
	    O_CLOEXEC, 0644);
	if (fd == -1 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		log_event(LOG_ERR, 0, "event=no-pid-file file=%s text=\"%s\"",
		    self.pid_file, strerror(errno));
	if (fd != -1)
		close(fd);
}

/* While there is a terminal, it is told of what goes wrong as well. */
static void
start_line(int level, const char *line)
{
	syslog_line(level, line);
	if (level <= LOG_ERR)
		fprintf(stderr, "%s: %s\n", self.daemon->name, line);
}

/* All is started: from now on the log is the only voice. */
static void
ready(void)
{
	if (!self.is_debug) {
		log_init_master(syslog_line);
		write_pid_file();
		null_stdio();
		(void)!write(self.started, "", 1);
		close(self.started);
	}
	self.started = -2;
}

/*
 * The file is read again on HUP, when the working directory is another.  Where
 * realpath() finds nothing, config_read() says so.
 */
static void
make_absolute(void)
{
	const char *path = realpath(self.file, NULL);

	if (path != NULL)
		self.file = path;
}

/* The parent stays until the child has started, to tell how that went. */
static void
go_to_background(void)
{
	int pipefd[2];
	char octet;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) == -1 || (pid = fork()) == -1)
		fatal("fork");
	if (pid != 0) {
		close(pipefd[1]);
		_exit(read(pipefd[0], &octet, 1) == 1 ? 0 : 1);
	}
	close(pipefd[0]);
	self.started = pipefd[1];
	if (setsid() == -1 || chdir("/") == -1)
		fatal("setsid");
}

static void
options(int argc, char **argv, int *is_check)
{
	int c;

	while ((c = getopt(argc, argv, "df:no:")) != -1)
		switch (c) {
		case 'd':
			self.is_debug = 1;
			break;
		case 'f':
			self.file = optarg;
			self.is_default_file = 0;
			break;
		case 'n':
			*is_check = 1;
			break;
		case 'o':
			if (self.override_count == OVERRIDES_MAX)
				usage();
			self.overrides[self.override_count++] = optarg;
			break;
		default:
			usage();
		}
	if (optind != argc)
		usage();
}

/* As many descriptors as the system lets us have; a session takes three. */
static void
raise_descriptors(const struct config *config)
{
	rlim_t wanted = (rlim_t)config->max_sessions * 3 + 256;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("RLIMIT_NOFILE");
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("RLIMIT_NOFILE");
	if (rl.rlim_max < wanted)
		log_event(LOG_WARNING, 0, "event=few-descriptors limit=%llu "
		    "wanted=%llu text=\"for max-sessions\"",
		    (unsigned long long)rl.rlim_max,
		    (unsigned long long)wanted);
}

int
daemon_main(const struct daemon *daemon, int argc, char **argv)
{
	struct config *config;
	int is_check = 0;

	self.daemon = daemon;
	options(argc, argv, &is_check);
	if (!self.is_default_file)
		make_absolute();
	config = malloc(sizeof(*config));
	if (config == NULL || load(config) == -1)
		return 1;
	if (is_check)
		return 0;
	if (geteuid() != 0) {
		fprintf(stderr, "%s: must be started as root, which its "
		    "workers then give up\n", daemon->name);
		return 1;
	}
	if (config_resolve(config, report) == -1)
		return 1;
	umask(022);
	make_run_dir(config);
	if (daemon->prepare != NULL && daemon->prepare(config) == -1)
		return 1;
	snprintf(self.pid_file, sizeof(self.pid_file), "%s/%s.pid",
	    config->run_dir, daemon->name);
	closefrom(STDERR_FILENO + 1);
	raise_descriptors(config);
	if (!self.is_debug) {
		syslog_begin(self.daemon->name);
		log_init_master(start_line);
		go_to_background();
	}
	master_run(daemon, config, reload, ready);
	if (!self.is_debug)
		(void)unlink(self.pid_file);
	return 0;
}
