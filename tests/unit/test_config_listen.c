/* LINK: privsep/config privsep/config_file privsep/config_parse privsep/config_set privsep/config_listen privsep/config_relay privsep/config_secrets privsep/config_pass privsep/config_coder privsep/config_pass_relay privsep/config_route */
/*
 * The configuration: where to listen, and which certificate for whom.
 */
#include "config_lines.h"

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

	assert_int_equal(line("listen smtp 0.0.0.0:2525"), -1);
	assert_string_equal(last, "file:7: listen: *:2525 and 0.0.0.0:2525 are "
	    "the same place");
	assert_int_equal(config.listener_count, 4);

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
	assert_int_equal(line("listen lmtp /run/postern/lmtp"), -1);
	assert_non_null(strstr(last, "are the same place"));

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_listen, reset),
		cmocka_unit_test_setup(test_listen_socket, reset),
		cmocka_unit_test_setup(test_inetd, reset),
		cmocka_unit_test_setup(test_certificate_pair, reset),
		cmocka_unit_test_setup(test_certificates_by_name, reset),
	};

	return cmocka_run_group_tests_name("test_config_listen", tests, NULL,
	    NULL);
}
