/* LINK: privsep/certificate privsep/program privsep/become privsep/config privsep/facts privsep/message privsep/log */
/*
 * The first start: when a certificate is made, by whom, and when it is not.
 * The maker is this very program, under the maker's name.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/certificate.h"
#include "privsep/log.h"

#define KEY_UID		12345

static struct config config;
static char dir[64];
static char last[4096];		/* the last report */
static int reports, made;

static void
report(const char *text)
{
	snprintf(last, sizeof(last), "%s", text);
	reports++;
}

static void
sink(int level, const char *line)
{
	(void)level;
	made += strncmp(line, "event=certificate-made ", 23) == 0;
}

/* What make-certificate would be: the host's name says how it goes wrong. */
static int
maker(int argc, char **argv)
{
	extern char **environ;

	if (argc != 2 || environ[0] != NULL || getuid() != KEY_UID ||
	    geteuid() != KEY_UID || getgid() != KEY_UID ||
	    getgroups(0, NULL) != 0 || fcntl(5, F_GETFD) != -1)
		return 3;
	if (strcmp(argv[1], "crash.example.org") == 0)
		raise(SIGKILL);
	if (strcmp(argv[1], "nothing.example.org") == 0)
		return 0;
	if (write(3, "key\n", 4) != 4)
		return 4;
	if (strcmp(argv[1], "half.example.org") == 0)
		return 5;
	return write(4, argv[1], strlen(argv[1])) > 0 ? 0 : 6;
}

static void
copy_self(const char *to)
{
	char buf[65536];
	int in = open("/proc/self/exe", O_RDONLY);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0755);
	ssize_t n;

	assert_true(in != -1 && out != -1);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	close(in);
	close(out);
}

static int
setup(void **state)
{
	char path[CONFIG_PATH_MAX];

	(void)state;
	umask(022);
	log_init_master(sink);
	config_default(&config);
	strlcpy(dir, "/tmp/test_certificate.XXXXXX", sizeof(dir));
	if (mkdtemp(dir) == NULL)
		return -1;
	strlcpy(config.libexec_dir, dir, sizeof(config.libexec_dir));
	strlcpy(config.hostname, "mail.example.org", sizeof(config.hostname));
	config.key_user.uid = config.key_user.gid = KEY_UID;
	snprintf(config.tls_certificate, sizeof(config.tls_certificate),
	    "%s/etc/tls/cert.pem", dir);
	snprintf(config.tls_key, sizeof(config.tls_key),
	    "%s/etc/tls/key.pem", dir);
	snprintf(path, sizeof(path), "%s/make-certificate", dir);
	copy_self(path);
	last[0] = '\0';
	reports = made = 0;
	return 0;
}

static int
teardown(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid ? 0 : -1;
}

static void
assert_file(const char *path, const char *text, mode_t mode)
{
	char buf[256];
	struct stat st;
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_int_not_equal(fd, -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_uid, geteuid());
	n = read(fd, buf, sizeof(buf));
	assert_int_equal(n, (ssize_t)strlen(text));
	assert_memory_equal(buf, text, (size_t)n);
	close(fd);
}

/* Neither a half-made pair nor what it was made in is left. */
static void
assert_nothing_left(void)
{
	char path[CONFIG_PATH_MAX + 8];

	assert_int_equal(access(config.tls_key, F_OK), -1);
	assert_int_equal(access(config.tls_certificate, F_OK), -1);
	snprintf(path, sizeof(path), "%s.new", config.tls_key);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s.new", config.tls_certificate);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(made, 0);
}

static void
assert_refused(const char *file, const char *reason)
{
	assert_int_equal(certificate_prepare(&config, report), -1);
	assert_int_equal(strncmp(last, file, strlen(file)), 0);
	if (strstr(last, reason) == NULL)
		fail_msg("%s: not because: %s", last, reason);
	assert_int_equal(reports, 1);
	reports = 0;
}

static void
need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void
test_made(void **state)
{
	struct stat st;
	char path[CONFIG_PATH_MAX];

	(void)state;
	need_root();
	assert_int_equal(certificate_prepare(&config, report), 0);
	assert_int_equal(reports, 0);
	assert_int_equal(made, 1);
	assert_file(config.tls_key, "key\n", 0600);
	assert_file(config.tls_certificate, "mail.example.org", 0644);
	snprintf(path, sizeof(path), "%s/etc/tls", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	/* Once is enough. */
	strlcpy(config.hostname, "other.example.org",
	    sizeof(config.hostname));
	assert_int_equal(certificate_prepare(&config, report), 0);
	assert_int_equal(made, 1);
	assert_file(config.tls_certificate, "mail.example.org", 0644);
}

/* A start that was cut short left something, with whatever mode. */
static void
test_leftovers(void **state)
{
	char path[CONFIG_PATH_MAX + 8];
	int fd;

	(void)state;
	need_root();
	assert_int_equal(certificate_prepare(&config, report), 0);
	assert_int_equal(unlink(config.tls_key), 0);
	assert_int_equal(unlink(config.tls_certificate), 0);
	snprintf(path, sizeof(path), "%s.new", config.tls_key);
	fd = open(path, O_WRONLY | O_CREAT, 0666);
	assert_int_equal(write(fd, "leftover", 8), 8);
	close(fd);
	snprintf(path, sizeof(path), "%s.new", config.tls_certificate);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(certificate_prepare(&config, report), 0);
	assert_file(config.tls_key, "key\n", 0600);
	assert_file(config.tls_certificate, "mail.example.org", 0644);
}

static void
test_maker_fails(void **state)
{
	static const char *const hosts[] = {
		"crash.example.org", "half.example.org", "nothing.example.org"
	};
	size_t i;

	(void)state;
	need_root();
	for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		strlcpy(config.hostname, hosts[i], sizeof(config.hostname));
		assert_int_equal(certificate_prepare(&config, report), -1);
		assert_int_equal(reports, 1);
		reports = 0;
		assert_nothing_left();
	}
}

/* pop3d and smtpd at the same time. */
static void
test_together(void **state)
{
	enum { STARTS = 8 };
	int i, status;
	pid_t pid;

	(void)state;
	need_root();
	for (i = 0; i < STARTS; i++) {
		pid = fork();
		assert_int_not_equal(pid, -1);
		if (pid == 0) {
			status = certificate_prepare(&config, report);
			_exit(status == 0 ? made : 100);
		}
	}
	for (i = 0; i < STARTS; i++) {
		assert_true(wait(&status) > 0 && WIFEXITED(status));
		made += WEXITSTATUS(status);
	}
	assert_int_equal(made, 1);
	assert_file(config.tls_certificate, "mail.example.org", 0644);
}

static void
test_one_is_missing(void **state)
{
	char path[CONFIG_PATH_MAX];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/etc", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/etc/tls", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	fd = open(config.tls_key, O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_refused(config.tls_certificate, "missing, while there is a key");
	assert_int_equal(rename(config.tls_key, config.tls_certificate), 0);
	assert_refused(config.tls_key, "missing, while there is a certificate");
	/* A link that leads nowhere is an administrator's, and a mistake. */
	assert_int_equal(symlink("gone", config.tls_key), 0);
	assert_refused(config.tls_key, "No such file");
}

static void
test_places(void **state)
{
	char path[CONFIG_PATH_MAX];

	(void)state;
	snprintf(path, sizeof(path), "%s/make-certificate", dir);
	assert_int_equal(chmod(path, 0775), 0);
	assert_refused(path, "not root's program");
	assert_nothing_left();
	assert_int_equal(unlink(path), 0);
	assert_refused(path, "No such file");
	assert_nothing_left();
	snprintf(path, sizeof(path), "%s/etc/tls", dir);
	assert_int_equal(chmod(path, 0775), 0);
	assert_refused(path, "somebody else than root can change");
	/* A typing mistake makes no tree of directories. */
	snprintf(config.tls_key, sizeof(config.tls_key),
	    "%s/a/b/c/key.pem", dir);
	assert_int_equal(certificate_prepare(&config, report), -1);
	snprintf(path, sizeof(path), "%s/a", dir);
	assert_int_equal(access(path, F_OK), -1);
	strlcpy(config.tls_key, "key.pem", sizeof(config.tls_key));
	assert_int_equal(certificate_prepare(&config, report), -1);
	strlcpy(config.tls_key, "", sizeof(config.tls_key));
	assert_int_equal(certificate_prepare(&config, report), -1);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leftovers, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_maker_fails, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_together, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_one_is_missing, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
	};

	if (strcmp(argv[0], "make-certificate") == 0)
		return maker(argc, argv);
	return cmocka_run_group_tests_name("test_certificate", tests, NULL,
	    NULL);
}
