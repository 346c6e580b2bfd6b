/* LINK: privsep/config privsep/config_file privsep/config_parse privsep/config_set privsep/config_listen privsep/config_relay privsep/config_secrets privsep/config_pass privsep/config_coder privsep/config_pass_relay privsep/config_route */
/*
 * The configuration: what every keyword accepts and refuses, how mistakes are
 * told, who may own the file (C24), and what each role gets of it.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/config.h"
#include "privsep/config_table.h"

#define ROLES	(ROLE_LAST + 1)

static struct config config, received;
static char last[4096];		/* the last report */
static int reports;

static void
report(const char *text)
{
	snprintf(last, sizeof(last), "%s", text);
	reports++;
}

static int
reset(void **state)
{
	(void)state;
	config_default(&config);
	last[0] = '\0';
	reports = 0;
	return 0;
}

static int
line(const char *text)
{
	return config_line(&config, text, "file:7", report);
}

static int
parse(const char *text)
{
	return config_parse(&config, text, strlen(text), "file", report);
}

static void
assert_refused(const char *text, const char *reason)
{
	reset(NULL);
	if (line(text) != -1)
		fail_msg("accepted: %s", text);
	if (strstr(last, reason) == NULL)
		fail_msg("`%s' reported: %s", text, last);
	assert_int_equal(strncmp(last, "file:7: ", 8), 0);
}

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
test_listen(void **state)
{
	const struct sockaddr_in *in;

	(void)state;
	assert_int_equal(line("listen pop3 127.0.0.1:1110"), 0);
	assert_int_equal(config.listener_count, 1);	/* no defaults left */
	in = (const void *)&config.listeners[0].address;
	assert_int_equal(ntohs(in->sin_port), 1110);
	assert_string_equal(config.listeners[0].text, "127.0.0.1:1110");
	assert_int_equal(line("listen smtp [::1]:smtp"), 0);
	assert_int_equal(line("listen smtp *:2525"), 0);
	assert_int_equal(config.listener_count, 4);
	assert_int_equal(config_finish(&config, report), 0);

	assert_int_equal(line("listen smtp 0.0.0.0:2525"), 0);
	assert_int_equal(config_finish(&config, report), -1);
	assert_non_null(strstr(last, "the same place"));

	reset(NULL);
	assert_int_equal(line("listen pop3s *:995"), 0);
	assert_int_equal(line("listen submission *:submission"), 0);
	assert_int_equal(line("listen submissions 127.0.0.1:submissions"), 0);
	assert_int_equal(config.listener_count, 5);
	assert_int_equal(config.listeners[0].service, SERVICE_POP3S);
	assert_int_equal(config.listeners[4].service, SERVICE_SUBMISSIONS);
	in = (const void *)&config.listeners[4].address;
	assert_int_equal(ntohs(in->sin_port), 465);
	assert_int_equal(line("listen submission 192.0.2.1:10587"), 0);
	assert_int_equal(config_finish(&config, report), 0);

	assert_refused("listen imap *:143", "needs a service: pop3, pop3s,");
	assert_refused("listen pop3", "one ADDRESS:PORT");
	assert_refused("listen pop3 *:110 *:111", "one ADDRESS:PORT");
	assert_refused("listen pop3 127.0.0.1", "has no port");
	assert_refused("listen pop3 127.0.0.1:0", "has no port");
	assert_refused("listen pop3 127.0.0.1:65536", "has no port");
	assert_refused("listen pop3 ::1:110", "is not an address");
	assert_refused("listen pop3 localhost:110", "is not an address");
	assert_refused("listen pop3 [127.0.0.1]:110", "is not an address");
}

static void
test_listen_socket(void **state)
{
	const struct sockaddr_un *un = (const void *)&config.listeners[0]
	    .address;
	char text[256];

	(void)state;
	assert_int_equal(line("listen lmtp /run/postern/lmtp"), 0);
	assert_int_equal(config.listener_count, 1);
	assert_int_equal(config.listeners[0].service, SERVICE_LMTP);
	assert_int_equal(un->sun_family, AF_UNIX);
	assert_string_equal(un->sun_path, "/run/postern/lmtp");
	assert_int_equal(line("listen lmtp /run/postern/other"), 0);
	assert_int_equal(config_finish(&config, report), 0);
	assert_int_equal(line("listen lmtp /run/postern/lmtp"), 0);
	assert_int_equal(config_finish(&config, report), -1);

	assert_refused("listen lmtp 127.0.0.1:24", "not the path of a socket");
	assert_refused("listen lmtp lmtp", "not the path of a socket");
	assert_refused("listen lmtp /run/", "not the path of a socket");
	assert_refused("listen lmtp /run/../x", "not the path of a socket");
	assert_refused("listen smtp /run/smtp", "has no port");
	snprintf(text, sizeof(text), "listen lmtp /%0106d", 0);
	assert_int_equal(line(text), 0);
	snprintf(text, sizeof(text), "listen lmtp /%0107d", 0);
	assert_refused(text, "too long");
}

static void
test_inetd(void **state)
{
	(void)state;
	assert_int_equal(line("inetd-service submissions"), 0);
	assert_int_equal(config.inetd_service, SERVICE_SUBMISSIONS);
	assert_int_equal(line("inetd-service pop3"), -1);
	assert_non_null(strstr(last, "was set before, by line 7"));
	assert_refused("inetd-service delivery", "needs a service");
	assert_refused("inetd-service 995", "needs a service");
	assert_refused("inetd-service pop3 pop3s", "takes one value only");
}

/* The pair for every name, which -o may replace. */
static void
test_certificate_pair(void **state)
{
	(void)state;
	assert_int_equal(parse("tls-certificate /x/c.pem\n"
	    "tls-key /x/k.pem\n"), 0);
	assert_int_equal(config_finish(&config, report), 0);
	assert_string_equal(config.tls_certificate, "/x/c.pem");
	assert_string_equal(config.tls_key, "/x/k.pem");
	assert_int_equal(config.certificate_count, 0);
	assert_int_equal(config_line(&config, "tls-certificate /y", "-o",
	    report), 0);
	assert_int_equal(config_line(&config, "tls-certificate /z", "-o",
	    report), 0);
	assert_string_equal(config.tls_certificate, "/z");
	assert_int_equal(reports, 0);

	reset(NULL);
	assert_int_equal(parse("tls-certificate /x\nprefork 1\n"
	    "tls-certificate a.example /x /y\ntls-certificate /x\n"), -1);
	assert_string_equal(last,
	    "file:4: tls-certificate: was set before, by line 1");

	/* Half of a pair, whichever. */
	reset(NULL);
	assert_int_equal(parse("\ntls-certificate /x\n"), 0);
	assert_int_equal(config_finish(&config, report), -1);
	assert_string_equal(last, "tls-certificate is set in line 2, but "
	    "tls-key is not: they are a pair");
	reset(NULL);
	assert_int_equal(config_line(&config, "tls-key /k", "-o", report), 0);
	assert_int_equal(config_finish(&config, report), -1);
	assert_string_equal(last, "tls-key is set by an option, but "
	    "tls-certificate is not: they are a pair");

	/* Named ones don't make half of the default pair. */
	reset(NULL);
	assert_int_equal(line("tls-certificate a.example /x /y"), 0);
	assert_int_equal(config_finish(&config, report), 0);

	assert_refused("tls-certificate x.pem", "not an absolute path");
	assert_refused("tls-certificate /x/../y", "goes up");
	assert_refused("tls-certificate /x /y", "needs a file, or a name, a");
	assert_refused("tls-certificate", "needs a file, or a name, a file");
	assert_refused("tls-certificate a /x /y /z", "needs a file, or");
	assert_refused("tls-key /x /y", "takes one value only");
	assert_refused("tls-key", "needs a value");
}

static void
test_certificates_by_name(void **state)
{
	char text[128];
	int i;

	(void)state;
	assert_int_equal(parse("tls-certificate /x/c\ntls-key /x/k\n"
	    "tls-certificate Mail.Example /a/c /a/k\n"
	    "tls-certificate *.example /b/c /b/k\n"), 0);
	assert_int_equal(config.certificate_count, 2);
	assert_string_equal(config.certificates[0].name, "mail.example");
	assert_string_equal(config.certificates[0].file, "/a/c");
	assert_string_equal(config.certificates[0].key, "/a/k");
	assert_string_equal(config.certificates[1].name, "*.example");
	assert_int_equal(line("tls-certificate mail.EXAMPLE /c /k"), -1);
	assert_string_equal(last, "file:7: tls-certificate: mail.EXAMPLE has "
	    "a certificate already");
	assert_int_equal(config.certificate_count, 2);

	/* An option for the pair leaves the names, and one names replaces. */
	assert_int_equal(config_line(&config, "tls-certificate /o", "-o",
	    report), 0);
	assert_int_equal(config.certificate_count, 2);
	assert_int_equal(config_line(&config,
	    "tls-certificate mail.example /o/c /o/k", "-o", report), 0);
	assert_int_equal(config_line(&config,
	    "tls-certificate b.example /o/c /o/k", "-o", report), 0);
	assert_int_equal(config.certificate_count, 2);
	assert_string_equal(config.certificates[0].file, "/o/c");

	assert_refused("tls-certificate a..b /c /k", "is not a host name");
	assert_refused("tls-certificate *.*.b /c /k", "is not a host name");
	assert_refused("tls-certificate * /c /k", "is not a host name");
	assert_refused("tls-certificate *. /c /k", "is not a host name");
	assert_refused("tls-certificate a*.b /c /k", "is not a host name");
	assert_refused("tls-certificate /a /c /k", "is not a host name");
	assert_refused("tls-certificate a.example c /k", "`c' is not an");
	assert_refused("tls-certificate a.example /c k", "`k' is not an");

	reset(NULL);
	for (i = 0; i <= CONFIG_CERTIFICATES_MAX; i++) {
		snprintf(text, sizeof(text), "tls-certificate h%d.example "
		    "/c%d /k%d", i, i, i);
		assert_int_equal(line(text),
		    i < CONFIG_CERTIFICATES_MAX ? 0 : -1);
	}
	assert_non_null(strstr(last, "more than 32"));
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
	assert_int_equal(symlink("./../../tmp/../proc/self/root/dev/null",
	    other), 0);
	assert_int_equal(config_read(&config, other, 0, report), -1);
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
	unlink(path);
	snprintf(loop, sizeof(loop), "%s/loop", dir);
	assert_int_equal(symlink("loop", loop), 0);
	assert_int_equal(config_read(&config, loop, 0, report), -1);
	unlink(loop);
	rmdir(dir);
}

static void
resolve(void)
{
	config.worker_user.uid = config.worker_user.gid = 801;
	config.queue_user.uid = config.queue_user.gid = 802;
	config.key_user.uid = config.key_user.gid = 803;
	config.relay_user.uid = config.relay_user.gid = 804;
	config.resolver_user.uid = config.resolver_user.gid = 805;
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

static void
test_pass_only_what_is_needed(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(parse("hostname m.example\nspool-dir /x/spool\n"
	    "pam-service mail\nmessage-size-limit 5G\nretry-schedule 3 4\n"
	    "pam-confdir /x/pam\nmailbox mbox ~/M\nlogin-timeout 9\n"
	    "tls-certificate /x/c\ntls-key /x/k\n"
	    "tls-certificate a.example /x/c2 /x/k2\n"
	    "inetd-service pop3\n"), 0);
	assert_int_equal(config_finish(&config, report), 0);
	assert_int_equal(config_send(&config, ROLE_SPAWNER), -1);
	resolve();

	fd = config_send(&config, ROLE_SPAWNER);
	assert_int_not_equal(fd, -1);
	assert_int_equal(config_receive(fd, ROLE_SPAWNER, &received), 0);
	assert_string_equal(received.hostname, "m.example");
	assert_int_equal(received.message_size_limit, 5ULL << 30);
	assert_int_equal(received.worker_user.uid, 801);
	assert_string_equal(received.queue_user.name, "");
	assert_int_equal(received.queue_user.uid, (uid_t)-1);
	assert_string_equal(received.spool_dir, "");
	assert_string_equal(received.pam_service, "");
	/* Another role's is refused. */
	assert_int_equal(config_receive(fd, ROLE_LOGIN, &received), -1);
	assert_int_equal(errno, EBADMSG);
	close(fd);

	fd = config_send(&config, ROLE_LOGIN);
	assert_int_equal(config_receive(fd, ROLE_LOGIN, &received), 0);
	assert_string_equal(received.pam_service, "mail");
	assert_string_equal(received.pam_confdir, "/x/pam");
	assert_string_equal(received.spool_dir, "");
	assert_true(config_is_local_domain(&received, "m.example"));
	close(fd);

	fd = config_send(&config, ROLE_AGENTS);
	assert_int_equal(config_receive(fd, ROLE_AGENTS, &received), 0);
	assert_string_equal(received.spool_dir, "/x/spool");
	assert_int_equal(received.mailbox_format, MAILBOX_MBOX);
	assert_string_equal(received.mailbox_path, "~/M");
	assert_int_equal(received.queue_user.uid, 802);
	assert_string_equal(received.pam_service, "");
	close(fd);

	fd = config_send(&config, ROLE_QUEUE);
	assert_int_equal(config_receive(fd, ROLE_QUEUE, &received), 0);
	assert_int_equal(received.retry_count, 2);
	assert_int_equal(received.retry_schedule[1], 4);
	assert_string_equal(received.worker_user.name, "");
	close(fd);

	/* The signer has the least of all. */
	fd = config_send(&config, ROLE_SIGNER);
	assert_int_equal(config_receive(fd, ROLE_SIGNER, &received), 0);
	assert_int_equal(received.key_user.uid, 803);
	assert_int_equal(received.login_timeout, 9);
	assert_string_equal(received.hostname, "localhost");
	assert_string_equal(received.worker_user.name, "");
	assert_string_equal(received.queue_user.name, "");
	assert_string_equal(received.run_dir, "");
	close(fd);
}

/* Nobody but the master knows where certificates and keys are. */
static void
test_pass_no_certificates(void **state)
{
	static uint8_t buf[CONFIG_PASS_MAX];
	ssize_t len;
	size_t role;

	(void)state;
	assert_int_equal(parse("tls-certificate /secret/c\n"
	    "tls-key /secret/k\ninetd-service pop3s\n"
	    "tls-certificate a.example /secret/c2 /secret/k2\n"), 0);
	resolve();
	for (role = 0; role < ROLES; role++) {
		len = config_encode(&config, (enum role)role, buf,
		    sizeof(buf));
		assert_true(len > 0);
		assert_null(memmem(buf, (size_t)len, "secret", 6));
		assert_int_equal(config_decode(buf, (size_t)len,
		    (enum role)role, &received), 0);
		assert_string_equal(received.tls_certificate, "");
		assert_string_equal(received.tls_key, "");
		assert_int_equal(received.certificate_count, 0);
		assert_int_equal(received.inetd_service, 0);
		assert_string_equal(received.key_user.name,
		    role == ROLE_SIGNER ? "_posternk" : "");
	}
}

/* The largest configuration fits. */
static void
test_pass_full(void **state)
{
	static uint8_t buf[CONFIG_PASS_MAX];
	size_t i;

	(void)state;
	resolve();
	for (i = 0; i < CONFIG_DOMAINS_MAX; i++)
		snprintf(config.domains[i], HOSTNAME_MAX, "%063d.%063d.%063d."
		    "%059zu", 1, 2, 3, i);
	config.domain_count = CONFIG_DOMAINS_MAX;
	memcpy(config.relay_domains, config.domains, sizeof(config.domains));
	config.relay_domain_count = CONFIG_RELAY_DOMAINS_MAX;
	for (i = 0; i < CONFIG_ROUTES_MAX; i++) {
		strcpy(config.routes[i].domain, config.domains[i]);
		strcpy(config.routes[i].to.host, config.domains[i]);
		strcpy(config.relay_tls[i].domain, config.domains[i]);
	}
	config.route_count = config.relay_tls_count = CONFIG_ROUTES_MAX;
	for (i = 0; i < CONFIG_RELAY_AUTH_MAX; i++) {
		strcpy(config.relay_auths[i].host, config.domains[i]);
		memset(config.relay_auths[i].user, 'u', CONFIG_USER_MAX - 1);
		memset(config.relay_auths[i].secret, 's',
		    CONFIG_SECRET_MAX - 1);
	}
	config.relay_auth_count = CONFIG_RELAY_AUTH_MAX;
	for (i = 0; i < ROLES; i++)
		assert_true(config_encode(&config, (enum role)i, buf,
		    sizeof(buf)) > 0);
}

/* Every octet of it cut off, added, or changed: refused, or still legal. */
static void
test_pass_garbage(void **state)
{
	static uint8_t buf[8192], bad[8192], again[8192];
	ssize_t len;
	size_t i, role;

	(void)state;
	resolve();
	for (role = 0; role < ROLES; role++) {
		len = config_encode(&config, (enum role)role, buf,
		    sizeof(buf) - 1);
		assert_true(len > 0);
		for (i = 0; i < (size_t)len; i++)
			assert_int_equal(config_decode(buf, i,
			    (enum role)role, &received), -1);
		buf[len] = 0;
		assert_int_equal(config_decode(buf, (size_t)len + 1,
		    (enum role)role, &received), -1);
		for (i = 0; i < (size_t)len; i++) {
			memcpy(bad, buf, (size_t)len);
			bad[i] ^= 0x80;
			if (config_decode(bad, (size_t)len, (enum role)role,
			    &received) == -1)
				continue;
			assert_int_equal(config_encode(&received,
			    (enum role)role, again, sizeof(again)), len);
			assert_memory_equal(again, bad, (size_t)len);
		}
		assert_int_equal(config_decode(buf, (size_t)len,
		    (enum role)role, &received), 0);
	}
}

static void
test_pass_unsealed(void **state)
{
	static uint8_t buf[8192];
	ssize_t len;
	int fd;

	(void)state;
	resolve();
	len = config_encode(&config, ROLE_QUEUE, buf, sizeof(buf));
	fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(write(fd, buf, (size_t)len), len);
	assert_int_equal(config_receive(fd, ROLE_QUEUE, &received), -1);
	close(fd);
	fd = open("/dev/zero", O_RDONLY);
	assert_int_equal(config_receive(fd, ROLE_QUEUE, &received), -1);
	close(fd);
	fd = config_send(&config, ROLE_QUEUE);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest config_tests[] = {
		cmocka_unit_test_setup(test_defaults, reset),
		cmocka_unit_test_setup(test_values, reset),
		cmocka_unit_test_setup(test_every_keyword_has_a_setter, reset),
		cmocka_unit_test_setup(test_refused, reset),
		cmocka_unit_test_setup(test_listen, reset),
		cmocka_unit_test_setup(test_listen_socket, reset),
		cmocka_unit_test_setup(test_inetd, reset),
		cmocka_unit_test_setup(test_certificate_pair, reset),
		cmocka_unit_test_setup(test_certificates_by_name, reset),
		cmocka_unit_test_setup(test_twice, reset),
		cmocka_unit_test_setup(test_all_mistakes, reset),
		cmocka_unit_test_setup(test_finish, reset),
		cmocka_unit_test_setup(test_networks, reset),
		cmocka_unit_test_setup(test_c24_file_that_others_may_write,
		    reset),
		cmocka_unit_test_setup(test_files, reset),
		cmocka_unit_test_setup(test_resolve, reset),
		cmocka_unit_test_setup(test_pass_only_what_is_needed, reset),
		cmocka_unit_test_setup(test_pass_no_certificates, reset),
		cmocka_unit_test_setup(test_pass_full, reset),
		cmocka_unit_test_setup(test_pass_garbage, reset),
		cmocka_unit_test_setup(test_pass_unsealed, reset),
	};

	return cmocka_run_group_tests_name("test_config", config_tests, NULL,
	    NULL);
}
