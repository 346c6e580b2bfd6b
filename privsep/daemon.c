/*
 * daemon: options, configuration, going to the background; then the master.
 *
 * Runs as root, before the master confines itself; reads the configuration
 * file and makes the run directory.
 *
 * Whoever started us for a client has perhaps given us that client's
 * connection as standard error, too: then what goes wrong is told to the log
 * only, and the client is told that it is not for now.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certificate.h"
#include "daemon.h"
#include "directories.h"
#include "inherit.h"
#include "log.h"
#include "master.h"
#include "notify.h"
#include "syslog.h"

#define OVERRIDES_MAX	64

static struct {
	const struct daemon	*daemon;
	const char		*file;		/* -f, or the default */
	int			 is_default_file;
	const char		*overrides[OVERRIDES_MAX];
	size_t			 override_count;
	int			 is_debug;
	int			 is_check;	/* -n */
	int			 is_inetd;	/* -i */
	int			 is_queue;	/* -q */
	int			 is_mute;	/* stderr is no place to write */
	int			 is_serving;	/* nor is it any more */
	int			 started;	/* pipe to the parent, or -1 */
	struct inheritance	 inherited;
	char			 pid_file[CONFIG_PATH_MAX + 64];
} self = {
	.file = SYSCONFDIR "/postern/postern.conf",
	.is_default_file = 1,
	.started = -1
};

void
daemon_complain(const char *fmt, ...)
{
	char text[LOG_LINE_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (self.is_mute)
		log_event(LOG_ERR, 0, "event=start text=\"%s\"", text);
	else
		fprintf(stderr, "%s: %s\n", self.daemon->name, text);
}

void
daemon_refuse(const struct daemon *daemon, int client, enum service service)
{
	/* A fatal alert, internal_error: RFC 8446, 5.1 and 6. */
	static const char alert[] = "\x15\x03\x01\x00\x02\x02\x50";
	const char *text = daemon->refusal;
	size_t len = strlen(text);

	if (service_is_tls(service)) {
		text = alert;
		len = sizeof(alert) - 1;
	}
	(void)send(client, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * A line before the descriptors have their places: it leaves none open that
 * another could take over, a client's among them.
 */
static void
early_line(int level, const char *line)
{
	syslog_begin(self.daemon->name);
	syslog_line(level, line);
	syslog_end();
}

/* From here on, what goes wrong is told to the log. */
static void
mute(void)
{
	self.is_mute = 1;
	log_init_master(early_line);
}

static void
usage(void)
{
	daemon_complain("usage: %s [-din%s] [-f file] [-o 'keyword value']...",
	    self.daemon->name, self.daemon->queue != NULL ? "q" : "");
	exit(2);
}

/* A mistake in the configuration: to the terminal, or to the log on HUP. */
static void
report(const char *text)
{
	if (self.is_serving)
		log_event(LOG_ERR, 0, "event=configuration text=\"%s\"", text);
	else
		daemon_complain("%s", text);
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
	if (r == 0 && self.daemon->queue != NULL)
		r = config_read_secrets(config, report);
	/* For one client, and no other, nobody waits. */
	if (self.inherited.mode == START_NOWAIT ||
	    self.inherited.mode == START_QUEUE)
		config->prefork = 1;
	return r;
}

static int
reload(struct config *config)
{
	return load(config) == -1 || config_resolve(config,
	    self.daemon->queue != NULL, report) == -1 ? -1 : 0;
}

/* The run directory and the empty one in it, root's alone to change. */
static void
make_run_dir(const struct config *config)
{
	char empty[CONFIG_PATH_MAX + 8];

	snprintf(empty, sizeof(empty), "%s/empty", config->run_dir);
	if (directories_make(config->run_dir, 0755) == -1 ||
	    directories_make(empty, 0555) == -1) {
		daemon_complain("%s: %s", empty, strerror(errno));
		exit(1);
	}
}

/* Nothing is ever read from, or written to, these: up to last. */
static void
null_stdio(int last)
{
	int fd, null = open("/dev/null", O_RDWR);

	if (null == -1)
		fatal("/dev/null");
	for (fd = STDIN_FILENO; fd <= last; fd++)
		if (null != fd && dup2(null, fd) == -1)
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
		null_stdio(STDERR_FILENO);
	}
	if (self.started != -1) {
		write_pid_file();
		(void)!write(self.started, "", 1);
		close(self.started);
	}
	self.is_serving = 1;
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
take_option(int c)
{
	switch (c) {
	case 'd':
		self.is_debug = 1;
		break;
	case 'f':
		self.file = optarg;
		self.is_default_file = 0;
		break;
	case 'i':
		self.is_inetd = 1;
		break;
	case 'n':
		self.is_check = 1;
		break;
	case 'o':
		if (self.override_count == OVERRIDES_MAX)
			usage();
		self.overrides[self.override_count++] = optarg;
		break;
	case 'q':
		self.is_queue = 1;
		break;
	default:
		usage();
	}
}

static void
options(int argc, char **argv)
{
	const char *known = self.daemon->queue != NULL ? "df:ino:q" :
	    "df:ino:";
	int c;

	/* getopt's own words would go to stderr, whoever that is. */
	opterr = 0;
	if (inherit_is_client(STDERR_FILENO))
		mute();
	while ((c = getopt(argc, argv, known)) != -1)
		take_option(c);
	if (optind != argc || (self.is_inetd && self.is_queue))
		usage();
	/* What goes to the log anyway needs no second voice. */
	if (self.is_mute)
		self.is_debug = 0;
}

/*
 * As many descriptors as the system lets us have; a session takes up to four, half
 * as many again may be on their way out, and workers wait.
 */
static void
raise_descriptors(const struct config *config)
{
	rlim_t wanted = (rlim_t)config->max_sessions * 6 +
	    (rlim_t)config->prefork * 16 + 256;
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

/* The sockets that we were given; nobody's but ours to write to. */
static int
inherit(void)
{
	const char *wrong;

	if (inherit_find(&self.inherited, self.is_inetd, &wrong) == -1) {
		daemon_complain("%s: %s", self.is_inetd ? "-i: descriptor 0" :
		    "LISTEN_FDS", wrong);
		return -1;
	}
	if (self.is_queue) {
		self.inherited.mode = START_QUEUE;
		self.inherited.count = 0;
	}
	if (self.is_inetd)
		null_stdio(self.is_mute ? STDERR_FILENO : STDOUT_FILENO);
	return 0;
}

/* However the start ends, who waits for an answer gets one. */
static void
refuse_waiting(void)
{
	inherit_refuse(&self.inherited, self.daemon);
}

static int
name_services(const struct config *config)
{
	const char *wrong;

	if (inherit_services(&self.inherited, self.daemon, config,
	    &wrong) == 0)
		return 0;
	daemon_complain("LISTEN_FDNAMES: %s", wrong);
	return -1;
}

static int
prepare(struct config *config)
{
	if (geteuid() != 0) {
		daemon_complain("must be started as root, which its workers "
		    "then give up");
		return -1;
	}
	if (config_resolve(config, self.daemon->queue != NULL, report) == -1)
		return -1;
	umask(022);
	make_run_dir(config);
	if (self.daemon->prepare != NULL && self.daemon->prepare(config) == -1)
		return -1;
	if (certificate_prepare(config, report) == -1)
		return -1;
	snprintf(self.pid_file, sizeof(self.pid_file), "%s/%s.pid",
	    config->run_dir, self.daemon->name);
	return 0;
}

/* To syslog, by way of sink, from now on. */
static void
log_begin(void (*sink)(int, const char *))
{
	syslog_begin(self.daemon->name);
	log_init_master(sink);
}

/* How it is logged, and whether whoever started us may go on. */
static void
settle_down(void)
{
	if (self.is_debug || self.is_mute)
		return;
	log_begin(start_line);
	/* The others are waited for, or are nobody's business any more. */
	if (self.inherited.mode == START_ALONE)
		go_to_background();
}

int
daemon_main(const struct daemon *daemon, int argc, char **argv)
{
	struct config *config;
	int loaded, status;

	self.daemon = daemon;
	options(argc, argv);
	if (!self.is_default_file)
		make_absolute();
	if (!self.is_check && inherit() == -1)
		return 1;
	config = malloc(sizeof(*config));
	if (config == NULL || atexit(refuse_waiting) != 0)
		return 1;
	loaded = load(config);
	/* Whatever the file says: a refusal must fit the service. */
	if (name_services(config) == -1 || loaded == -1)
		return 1;
	if (self.is_check)
		return 0;
	if (prepare(config) == -1)
		return 1;
	closefrom(INHERIT_FIRST + (int)self.inherited.count);
	if (self.is_mute)
		log_begin(syslog_line);
	notify_open();
	raise_descriptors(config);
	settle_down();
	status = master_run(daemon, config, &self.inherited, reload, ready);
	if (self.started != -1)
		(void)unlink(self.pid_file);
	return status;
}
