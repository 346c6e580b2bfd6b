/* LINK: privsep/config privsep/config_file privsep/config_parse privsep/config_set privsep/config_listen privsep/config_relay privsep/config_secrets privsep/config_pass privsep/config_coder privsep/config_pass_relay privsep/config_route */
/*
 * The configuration: what every keyword accepts and refuses, how mistakes are
 * told, and who may own the file (C24).
 */
#include "config_lines.h"

static void
test_defaults(void **state)
{
	static const enum service services[] = { SERVICE_POP3, SERVICE_POP3S,
	    SERVICE_SMTP, SERVICE_SUBMISSION, SERVICE_SUBMISSIONS };
	size_t i;

	(void)state;
	assert_int_equal(config_finish(&config, report), 0);
	assert_true(config_is_hostname(config.hostname));
	assert_true(config_is_local_domain(&config, "LocalHost"));
	assert_true(config_is_local_domain(&config, config.hostname));
	assert_int_equal(config.listener_count, 10);
	for (i = 0; i < 10; i++) {
		assert_int_equal(config.listeners[i].service, services[i / 2]);
		assert_int_equal(config.listeners[i].address.ss_family,
		    i % 2 == 0 ? AF_INET : AF_INET6);
	}
	assert_string_equal(config.listeners[2].text, "*:995");
	assert_string_equal(config.tls_certificate,
	    SYSCONFDIR "/postern/tls/cert.pem");
	assert_string_equal(config.tls_key, SYSCONFDIR "/postern/tls/key.pem");
	assert_int_equal(config.certificate_count, 0);
	assert_int_equal(config.inetd_service, 0);
	assert_string_equal(config.mailbox_path, "~/Maildir");
	/* RFC 1939, 3: not less than ten minutes. */
	assert_int_equal(config.idle_timeout, 600);
	assert_int_equal(config.expire, 0);
	assert_int_equal(config.login_delay, 0);
	assert_int_equal(config.message_size_limit, 50 * 1024 * 1024);
	assert_int_equal(config.retry_count, 6);
	assert_int_equal(config.retry_schedule[5], 4 * 3600);
	assert_int_equal(config.give_up_after, 5 * 86400);
	assert_int_equal(config.login_min_uid, 1000);
	assert_int_equal(config.plaintext_login, PLAINTEXT_LOOPBACK);
	assert_int_equal(config.trusted_network_count, 2);
	assert_int_equal(config.limits_exempt_count, 0);
	/* An account that was not looked up must never pass for root. */
	assert_int_equal(config.worker_user.uid, (uid_t)-1);
	assert_int_equal(config.key_user.uid, (uid_t)-1);
	assert_string_equal(config.key_user.name, "_posternk");
}

static void
test_values(void **state)
{
	(void)state;
	assert_int_equal(parse(
	    "# a comment\n"
	    "\n"
	    "  hostname\tMail.Example.ORG # another\n"
	    "domains example.org b.example\n"
	    "domains c.example\n"
	    "message-size-limit 10K\n"
	    "retry-schedule 1s 2m 3h 1d 7\n"
	    "give-up-after 2h\n"
	    "max-sessions 20\n"
	    "max-sessions-per-source 20\n"
	    "login-timeout 5s\n"
	    "idle-timeout 10\n"
	    "prefork 2\n"
	    "expire 90d\n"
	    "login-delay 5m\n"
	    "login-min-uid 500\n"
	    "plaintext-login never\n"
	    "mailbox maildir ~/mail/box\n"
	    "aliases /x/aliases\n"
	    "worker-user w\n"
	    "queue-user q-1\n"
	    "key-user k\n"
	    "inetd-service pop3s\n"
	    "run-dir /x/run\n"
	    "spool-dir /x/spool\n"
	    "libexec-dir /x/libexec\n"
	    "pam-service mail\n"
	    "pam-confdir /x/pam.d"), 0);
	assert_int_equal(config_finish(&config, report), 0);
	assert_int_equal(reports, 0);
	assert_string_equal(config.hostname, "mail.example.org");
	assert_int_equal(config.domain_count, 3);
	assert_true(config_is_local_domain(&config, "C.Example"));
	assert_false(config_is_local_domain(&config, "localhost"));
	assert_false(config_is_local_domain(&config, "example.or"));
	assert_int_equal(config.message_size_limit, 10240);
	assert_int_equal(config.retry_count, 5);
	assert_int_equal(config.retry_schedule[1], 120);
	assert_int_equal(config.retry_schedule[3], 86400);
	assert_int_equal(config.retry_schedule[4], 7);
	assert_int_equal(config.idle_timeout, 10);
	assert_int_equal(config.expire, 90);
	assert_int_equal(config.login_delay, 300);
	assert_int_equal(config.plaintext_login, PLAINTEXT_NEVER);
	assert_string_equal(config.mailbox_path, "~/mail/box");
	assert_string_equal(config.worker_user.name, "w");
	assert_string_equal(config.key_user.name, "k");
	assert_int_equal(config.inetd_service, SERVICE_POP3S);
	assert_string_equal(config.pam_confdir, "/x/pam.d");
}

static void
test_every_keyword_has_a_setter(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < config_field_count; i++) {
		assert_non_null(config_setters[config_fields[i].kind]);
		/* A keyword alone is an error everywhere. */
		reset(NULL);
		assert_int_equal(line(config_fields[i].keyword), -1);
		assert_non_null(strstr(last, config_fields[i].keyword));
	}
}

static void
test_refused(void **state)
{
	char text[2048];

	(void)state;
	assert_refused("no-such-keyword 1", "no-such-keyword: unknown keyword");
	assert_refused("Hostname a.example", "unknown keyword");
	assert_refused("hostname a_b..c", "is not a host name");
	assert_refused("hostname -a.example", "is not a host name");
	assert_refused("hostname a.example.", "is not a host name");
	assert_refused("hostname a b", "takes one value only");
	assert_refused("domains a.example bad/domain", "is not a domain");
	assert_refused("message-size-limit 1023", "out of bounds");
	assert_refused("message-size-limit 18446744073709551617",
	    "is not a number");
	assert_refused("message-size-limit 9999999999999999G", "out of bounds");
	assert_refused("message-size-limit -1", "is not a number");
	assert_refused("message-size-limit +1M", "is not a number");
	assert_refused("message-size-limit M", "is not a number");
	assert_refused("message-size-limit 5T", "is not a number");
	assert_refused("max-sessions 10m", "is not a number");
	assert_refused("max-sessions 0", "out of bounds");
	assert_refused("login-timeout 0s", "out of bounds");
	assert_refused("login-min-uid 0", "out of bounds");
	assert_refused("prefork 1001", "out of bounds");
	assert_refused("plaintext-login sometimes", "needs never");
	assert_refused("mailbox mbox", "needs `maildir' or `mbox'");
	assert_refused("mailbox mh ~/Mail", "needs `maildir' or `mbox'");
	assert_refused("mailbox mbox ~/mail/", "is no file");
	assert_refused("mailbox mbox /var/mail", "not a path below ~/");
	assert_int_equal(line("mailbox mbox /var/mail/%u"), 0);
	assert_int_equal(config.mailbox_format, MAILBOX_MBOX);
	assert_refused("mailbox maildir /var/mail", "not a path below ~/");
	assert_refused("mailbox maildir /var/%x/%u", "not a path below ~/");
	assert_refused("mailbox maildir ~/../x", "not a path below ~/");
	assert_refused("mailbox maildir ~//x", "not a path below ~/");
	assert_refused("mailbox maildir ~/%", "not a path below ~/");
	assert_refused("aliases aliases", "not an absolute path");
	assert_refused("spool-dir /var/../etc", "goes up");
	assert_refused("worker-user -x", "not an account name");
	assert_refused("worker-user ../x", "not an account name");
	assert_int_equal(line("expire 30"), 0);
	assert_int_equal(config.expire, 30);
	assert_refused("expire 0", "at least a day");
	assert_refused("expire 12h", "not a number");
	assert_refused("expire 36501", "out of bounds");
	assert_refused("expire never 3", "one value");
	assert_refused("login-delay 2d", "out of bounds");
	assert_refused("pam-service ../x", "not the name of a PAM service");
	assert_refused("hostname a\x01", "control character 0x1");
	assert_refused("hostname a.example\r", "control character 0xd");
	assert_refused("retry-schedule 1m 8d", "out of bounds");

	memset(text, 'a', sizeof(text));
	text[CONFIG_LINE_MAX + 1] = '\0';
	assert_refused(text, "longer than 1024 octets");
	text[0] = '#';
	text[CONFIG_LINE_MAX] = '\0';
	assert_int_equal(line(text), 0);
}

static void
test_twice(void **state)
{
	(void)state;
	assert_int_equal(parse("max-sessions 10\n\nmax-sessions 11\n"), -1);
	assert_string_equal(last,
	    "file:3: max-sessions: was set before, by line 1");
	/* An option overrides, as often as it likes. */
	assert_int_equal(config_line(&config, "max-sessions 12", "-o", report),
	    0);
	assert_int_equal(config_line(&config, "max-sessions 13", "-o", report),
	    0);
	assert_int_equal(config.max_sessions, 13);
	/* Options replace a list of the file, and then add up. */
	assert_int_equal(line("domains a.example"), 0);
	assert_int_equal(config_line(&config, "domains b.example", "-o",
	    report), 0);
	assert_int_equal(config_line(&config, "domains c.example", "-o",
	    report), 0);
	assert_int_equal(config.domain_count, 2);
	assert_string_equal(config.domains[0], "b.example");
	assert_int_equal(config_line(&config, "domains /", "-o", report), -1);
	assert_string_equal(last, "-o: domains: `/' is not a domain");
}

/* Every mistake of a file is told, not only the first. */
static void
test_all_mistakes(void **state)
{
	static const char nul[] = "hostname a\0b\nprefork 1\n";

	(void)state;
	assert_int_equal(parse("x 1\ny 2\nhostname a.example\nz"), -1);
	assert_int_equal(reports, 3);
	assert_string_equal(last, "file:4: z: unknown keyword");
	assert_string_equal(config.hostname, "a.example");
	assert_int_equal(config_parse(&config, nul, sizeof(nul) - 1, "n",
	    report), -1);
	assert_string_equal(last, "n:1: a NUL character");
	assert_int_equal(config.prefork, 1);
}

static void
test_finish(void **state)
{
	(void)state;
	assert_int_equal(parse("hostname new.example\nmax-sessions 5\n"), 0);
	assert_int_equal(config_finish(&config, report), 0);
	assert_true(config_is_local_domain(&config, "new.example"));
	assert_int_equal(config.max_sessions_per_source, 5);
	assert_int_equal(config.prefork, 5);
	reset(NULL);
	assert_int_equal(parse("queue-user x\nworker-user x\n"), 0);
	assert_int_equal(config_finish(&config, report), -1);
	reset(NULL);
	assert_int_equal(parse("key-user x\nworker-user x\n"), 0);
	assert_int_equal(config_finish(&config, report), -1);
	assert_non_null(strstr(last, "key-user and worker-user must be"));
	reset(NULL);
	assert_int_equal(line("key-user _posternq"), 0);
	assert_int_equal(config_finish(&config, report), -1);
}

static int
contains(const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const void *sa;

	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		sa = &in;
	else {
		assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr),
		    1);
		sa = &in6;
	}
	return network_contains(config.trusted_networks,
	    config.trusted_network_count, sa);
}

static void
test_networks(void **state)
{
	struct sockaddr local = { .sa_family = AF_UNIX };

	(void)state;
	assert_true(contains("127.0.0.1"));
	assert_true(contains("127.255.0.9"));
	assert_true(contains("::1"));
	assert_true(contains("::ffff:127.0.0.1"));
	assert_false(contains("128.0.0.1"));
	assert_false(contains("::2"));
	assert_false(contains("::7f00:1"));
	assert_false(network_contains(config.trusted_networks,
	    config.trusted_network_count, &local));

	assert_int_equal(line("trusted-networks 192.0.2.128/25 10.0.0.0/9 "
	    "2001:db8::/33 198.51.100.7"), 0);
	assert_int_equal(config.trusted_network_count, 4);
	assert_true(contains("192.0.2.200"));
	assert_false(contains("192.0.2.127"));
	assert_true(contains("10.127.1.1"));
	assert_false(contains("10.128.1.1"));
	assert_true(contains("2001:db8:7fff::1"));
	assert_false(contains("2001:db8:8000::1"));
	assert_true(contains("198.51.100.7"));
	assert_false(contains("198.51.100.6"));
	assert_false(contains("127.0.0.1"));
	/* A later line adds; `none' is nobody. */
	assert_int_equal(line("trusted-networks loopback"), 0);
	assert_true(contains("127.0.0.1"));
	assert_int_equal(line("trusted-networks none"), 0);
	assert_false(contains("127.0.0.1"));
	assert_int_equal(line("limits-exempt 0.0.0.0/0"), 0);

	assert_refused("trusted-networks 192.0.2.7/24", "beyond its prefix");
	assert_refused("trusted-networks 192.0.2.0/33", "is not a network");
	assert_refused("trusted-networks 192.0.2/24", "is not a network");
	assert_refused("trusted-networks ::/129", "is not a network");
	assert_refused("trusted-networks ::ffff:192.0.2.0/120",
	    "must be written as IPv4");
	assert_refused("trusted-networks 192.0.2.0/", "is not a network");
	assert_refused("trusted-networks loopback none", "is not a network");
}

/* A directory of its own, and a file in it. */
static void
make_file(char *dir, char *path, size_t size, const char *text)
{
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, size, "%s/conf", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void
test_c24_file_that_others_may_write(void **state)
{
	char dir[] = "/tmp/test_config.XXXXXX", path[64], other[64];

	(void)state;
	make_file(dir, path, sizeof(path), "hostname f.example\n");
	assert_int_equal(config_read(&config, path, 0, report), 0);
	assert_string_equal(config.hostname, "f.example");

	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(config_read(&config, path, 0, report), -1);
	assert_non_null(strstr(last, "refused"));
	assert_int_equal(chmod(path, 0646), 0);
	assert_int_equal(config_read(&config, path, 0, report), -1);
	assert_int_equal(chmod(path, 0644), 0);

	assert_int_equal(chmod(dir, 0775), 0);
	assert_int_equal(config_read(&config, path, 0, report), -1);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(config_read(&config, path, 1, report), -1);
	/* Sticky: others can add, but not replace. */
	assert_int_equal(chmod(dir, 01777), 0);
	reset(NULL);
	assert_int_equal(config_read(&config, path, 0, report), 0);
	assert_int_equal(chmod(dir, 0755), 0);

	/* A link is followed, and what it points to is looked at as well. */
	snprintf(other, sizeof(other), "%s/link", dir);
	assert_int_equal(symlink("./../../tmp/../proc/self/root/dev/zero",
	    other), 0);
	assert_int_equal(config_read(&config, other, 0, report), -1);
	assert_non_null(strstr(last, "somebody else than root"));
	assert_int_equal(unlink(other), 0);
	assert_int_equal(symlink("conf", other), 0);
	reset(NULL);
	assert_int_equal(config_read(&config, other, 0, report), 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(config_read(&config, other, 0, report), -1);
	if (geteuid() == 0) {
		assert_int_equal(chmod(path, 0644), 0);
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_int_equal(config_read(&config, path, 0, report), -1);
		assert_int_equal(chown(path, 0, 0), 0);
		assert_int_equal(chown(dir, 12345, 0), 0);
		assert_int_equal(config_read(&config, path, 0, report), -1);
		assert_int_equal(chown(dir, 0, 0), 0);
		assert_int_equal(lchown(other, 12345, 0), 0);
		assert_int_equal(config_read(&config, other, 0, report), -1);
	}
	unlink(other);
	unlink(path);
	rmdir(dir);
}

static void
test_files(void **state)
{
	char dir[] = "/tmp/test_config.XXXXXX", path[64], loop[64];

	(void)state;
	make_file(dir, path, sizeof(path), "nonsense\n");
	assert_int_equal(config_read(&config, path, 0, report), -1);
	assert_non_null(strstr(last, "/conf:1: nonsense: unknown keyword"));
	unlink(path);
	assert_int_equal(config_read(&config, path, 1, report), 0);
	assert_int_equal(config_read(&config, path, 0, report), -1);
	assert_non_null(strstr(last, "No such file"));
	assert_int_equal(config_read(&config, dir, 0, report), -1);
	assert_int_equal(mkfifo(path, 0600), 0);	/* must not block */
	assert_int_equal(config_read(&config, path, 0, report), -1);
	assert_non_null(strstr(last, "Not a regular file"));
	unlink(path);
	reset(NULL);
	assert_int_equal(config_read(&config, "/dev/null", 0, report), 0);
	assert_int_equal(config_read(&config, "/dev/zero", 0, report), -1);
	snprintf(loop, sizeof(loop), "%s/loop", dir);
	assert_int_equal(symlink("loop", loop), 0);
	assert_int_equal(config_read(&config, loop, 0, report), -1);
	unlink(loop);
	rmdir(dir);
}

static void
test_resolve(void **state)
{
	(void)state;
	assert_int_equal(line("worker-user nobody"), 0);
	assert_int_equal(line("queue-user root"), 0);
	assert_int_equal(line("key-user bin"), 0);
	assert_int_equal(config_resolve(&config, 0, report), -1);
	assert_non_null(strstr(last, "must not have uid or gid 0"));
	reset(NULL);
	assert_int_equal(line("queue-user no-such-account-here"), 0);
	assert_int_equal(line("worker-user nobody"), 0);
	assert_int_equal(line("key-user bin"), 0);
	assert_int_equal(config_resolve(&config, 0, report), -1);
	assert_string_equal(last,
	    "queue-user: there is no account no-such-account-here");
	reset(NULL);
	assert_int_equal(line("queue-user nobody"), 0);
	assert_int_equal(line("worker-user nobody"), 0);
	assert_int_equal(line("key-user bin"), 0);
	assert_int_equal(config_resolve(&config, 0, report), -1);
	assert_non_null(strstr(last, "must be two accounts"));
	reset(NULL);
	assert_int_equal(line("queue-user bin"), 0);
	assert_int_equal(line("worker-user nobody"), 0);
	assert_int_equal(line("key-user no-such-account-here"), 0);
	assert_int_equal(config_resolve(&config, 0, report), -1);
	assert_string_equal(last,
	    "key-user: there is no account no-such-account-here");
	reset(NULL);
	assert_int_equal(line("queue-user bin"), 0);
	assert_int_equal(line("worker-user nobody"), 0);
	assert_int_equal(line("key-user bin"), 0);
	assert_int_equal(config_resolve(&config, 0, report), -1);
	assert_non_null(strstr(last, "key-user and queue-user must be two"));
	reset(NULL);
	assert_int_equal(line("queue-user bin"), 0);
	assert_int_equal(line("worker-user nobody"), 0);
	assert_int_equal(line("key-user daemon"), 0);
	assert_int_equal(config_resolve(&config, 0, report), 0);
	assert_int_equal(config.key_user.uid, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_defaults, reset),
		cmocka_unit_test_setup(test_values, reset),
		cmocka_unit_test_setup(test_every_keyword_has_a_setter, reset),
		cmocka_unit_test_setup(test_refused, reset),
		cmocka_unit_test_setup(test_twice, reset),
		cmocka_unit_test_setup(test_all_mistakes, reset),
		cmocka_unit_test_setup(test_finish, reset),
		cmocka_unit_test_setup(test_networks, reset),
		cmocka_unit_test_setup(test_c24_file_that_others_may_write,
		    reset),
		cmocka_unit_test_setup(test_files, reset),
		cmocka_unit_test_setup(test_resolve, reset),
	};

	return cmocka_run_group_tests_name("test_config", tests, NULL, NULL);
}
