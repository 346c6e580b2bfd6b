/* LINK: privsep/config privsep/config_file privsep/config_parse privsep/config_set privsep/config_listen privsep/config_relay privsep/config_secrets privsep/config_pass privsep/config_coder privsep/config_pass_relay privsep/config_route */
/* LIBS: -Wl,--wrap=read */
/*
 * How mail is sent to other hosts: what the keywords accept and refuse, what
 * they mean for a domain, what each role gets, and the file of passwords.
 */
#include "config_lines.h"

/* From this call on they fail, if not 0. */
static int fails_at;

ssize_t	__real_read(int, void *, size_t);
ssize_t	__wrap_read(int, void *, size_t);

ssize_t
__wrap_read(int fd, void *buf, size_t size)
{
	if (fails_at > 1)
		fails_at--;
	else if (fails_at == 1) {
		errno = EIO;
		return -1;
	}
	/* A little at a time, as a disk may. */
	return __real_read(fd, buf, size < 8 ? size : 8);
}

static int
option(const char *text)
{
	return config_line(&config, text, "-o", report);
}

static void
test_defaults(void **state)
{
	int is_named;

	(void)state;
	assert_int_equal(config.dns_server_count, 0);
	assert_null(config_route(&config, "example.org", &is_named));
	assert_false(is_named);
	assert_int_equal(config_relay_tls(&config, "example.org"),
	    RELAY_TLS_MAY);
	assert_null(config_relay_auth(&config, "example.org"));
	assert_false(config_is_relay_domain(&config, "localhost"));
	assert_int_equal(config.relay_family, RELAY_BOTH);
	assert_int_equal(config.relay_timeout, 300);
	assert_int_equal(config.delay_notice, 4 * 3600);
	assert_int_equal(config.recipient_delimiter, '+');
	assert_int_equal(config.max_recipients, 1000);
	assert_int_equal(config.max_messages, 100);
	assert_int_equal(config.max_errors, 20);
	assert_int_equal(config.rate_per_source, 0);
	assert_string_equal(config.command_user.name, "");
	assert_int_equal(config.command_user.uid, (uid_t)-1);
	assert_string_equal(config.relay_user.name, "_posternr");
	assert_string_equal(config.resolver_user.name, "_posternd");
}

static void
test_dns_server(void **state)
{
	(void)state;
	assert_int_equal(line("dns-server 192.0.2.1"), 0);
	assert_int_equal(line("dns-server 2001:db8::1@5353"), 0);
	assert_int_equal(config.dns_server_count, 2);
	assert_string_equal(config.dns_servers[0].address, "192.0.2.1");
	assert_int_equal(config.dns_servers[0].port, 53);
	assert_string_equal(config.dns_servers[1].address, "2001:db8::1");
	assert_int_equal(config.dns_servers[1].port, 5353);
	assert_int_equal(option("dns-server system"), 0);
	assert_int_equal(config.dns_server_count, 0);
	assert_refused("dns-server ns.example", "is not ADDRESS");
	assert_refused("dns-server 192.0.2.1:53", "is not ADDRESS");
	assert_refused("dns-server [2001:db8::1]", "is not ADDRESS");
	assert_refused("dns-server 192.0.2.1@0", "is not ADDRESS");
	assert_refused("dns-server 192.0.2.1@65536", "is not ADDRESS");
	assert_refused("dns-server 192.0.2.1@", "is not ADDRESS");
	assert_refused("dns-server @53", "is not ADDRESS");
	assert_refused("dns-server 192.0.2.1 192.0.2.2", "one value");
}

static void
test_relay_host(void **state)
{
	static const struct {
		const char	*word, *host;
		uint16_t	 port;
	} good[] = {
		{ "Mail.Example.ORG", "mail.example.org", 25 },
		{ "mail.example.org:587", "mail.example.org", 587 },
		{ "192.0.2.1", "192.0.2.1", 25 },
		{ "192.0.2.1:2525", "192.0.2.1", 2525 },
		{ "[192.0.2.1]:26", "192.0.2.1", 26 },
		{ "[2001:DB8::1]", "2001:db8::1", 25 },
		{ "[2001:db8::1]:65535", "2001:db8::1", 65535 },
		{ "none", "", 0 },
	};
	static const char *const bad[] = {
		"mail..example", "2001:db8::1", "[2001:db8::1", "[mail.example]",
		"mail.example:", "mail.example:0", "mail.example:65536",
		"mail.example:smtp", "[2001:db8::1]x", "[2001:db8::1]25", ":25",
		"[]", "[]:25", "/run/x", "smtp://mail.example",
	};
	char text[1024];
	int is_named;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		reset(NULL);
		snprintf(text, sizeof(text), "relay-host %s", good[i].word);
		if (line(text) != 0)
			fail_msg("%s: %s", text, last);
		assert_string_equal(config.relay_host.host, good[i].host);
		assert_int_equal(config.relay_host.port, good[i].port);
		assert_int_equal(config.relay_host.protocol, REMOTE_SMTP);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "relay-host %s", bad[i]);
		assert_refused(text, bad[i]);
	}
	snprintf(text, sizeof(text), "relay-host %0300d", 0);
	assert_refused(text, "too long");
	reset(NULL);
	assert_int_equal(line("relay-host mail.example"), 0);
	assert_ptr_equal(config_route(&config, "any.example", &is_named),
	    &config.relay_host);
	assert_false(is_named);
}

/* The host of a domain's route, with its protocol; "" for none. */
static void
assert_route(const char *domain, const char *expected)
{
	const struct remote *to;
	char text[512] = "";
	int is_named;

	to = config_route(&config, domain, &is_named);
	if (to != NULL)
		snprintf(text, sizeof(text), "%d %s %u %d", to->protocol,
		    to->host, to->port, is_named);
	assert_string_equal(text, expected);
}

static void
test_routes(void **state)
{
	(void)state;
	assert_int_equal(line("route Example.org smtp://a.example"), 0);
	assert_int_equal(line("route .example.org lmtp://[::1]:24"), 0);
	assert_int_equal(line("route .deep.example.org lmtp:/run/x/lmtp"), 0);
	assert_int_equal(line("route x.deep.example.org smtp://b:26"), 0);
	assert_route("EXAMPLE.ORG", "0 a.example 25 1");
	assert_route("h.example.org", "1 ::1 24 1");
	assert_route("deep.example.org", "1 ::1 24 1");
	assert_route("h.deep.example.org", "2 /run/x/lmtp 0 1");
	assert_route("X.deep.example.org", "0 b 26 1");
	assert_route("badexample.org", "");
	assert_route("org", "");
	assert_route("", "");
	assert_int_equal(line("relay-host c.example"), 0);
	assert_route("org", "0 c.example 25 0");
	/* An option is in place of them all. */
	assert_int_equal(option("route net.example smtp://d"), 0);
	assert_route("example.org", "0 c.example 25 0");
	assert_route("net.example", "0 d 25 1");

	assert_refused("route example.org", "needs a domain and where");
	assert_refused("route *.example.org smtp://a", "is not a domain");
	assert_refused("route . smtp://a", "is not a domain");
	assert_refused("route a.example mail.example", "is not smtp://");
	assert_refused("route a.example lmtp://h", "needs a port");
	assert_refused("route a.example lmtp:x", "is not smtp://");
	assert_refused("route a.example lmtp:/run/", "the path of a socket");
	assert_refused("route a.example smtp://", "is not a host");
	assert_int_equal(line("route A.example smtp://a"), 0);
	assert_int_equal(line("route a.EXAMPLE smtp://b"), -1);
	assert_non_null(strstr(last, "has a route already"));
}

static void
test_relay_tls(void **state)
{
	(void)state;
	assert_int_equal(line("relay-tls a.example verify"), 0);
	assert_int_equal(line("relay-tls .example encrypt"), 0);
	assert_int_equal(config_relay_tls(&config, "A.example"),
	    RELAY_TLS_VERIFY);
	assert_int_equal(config_relay_tls(&config, "b.a.example"),
	    RELAY_TLS_ENCRYPT);
	assert_int_equal(config_relay_tls(&config, "other"), RELAY_TLS_MAY);
	assert_int_equal(line("relay-tls * none"), 0);
	assert_int_equal(config_relay_tls(&config, "other"), RELAY_TLS_NONE);
	assert_int_equal(config_relay_tls(&config, "b.example"),
	    RELAY_TLS_ENCRYPT);
	assert_int_equal(line("relay-tls * may"), -1);
	assert_refused("relay-tls a.example", "needs a domain or *");
	assert_refused("relay-tls a.example maybe", "needs a domain or *");
	assert_refused("relay-tls *.example may", "is not a domain");
}

static void
test_lists(void **state)
{
	(void)state;
	assert_int_equal(line("relay-domains a.example .B.example"), 0);
	assert_int_equal(line("relay-domains c.example"), 0);
	assert_true(config_is_relay_domain(&config, "A.Example"));
	assert_true(config_is_relay_domain(&config, "x.y.b.example"));
	assert_false(config_is_relay_domain(&config, "b.example"));
	assert_true(config_is_relay_domain(&config, "c.example"));
	assert_int_equal(option("relay-domains none"), 0);
	assert_false(config_is_relay_domain(&config, "c.example"));
	assert_refused("relay-domains a.example *", "is not a domain");

	assert_int_equal(line("relay-source 192.0.2.1"), 0);
	assert_int_equal(line("relay-source 2001:db8::1"), 0);
	assert_int_equal(config.relay_source_count, 2);
	assert_int_equal(config.relay_sources[1].family, AF_INET6);
	assert_int_equal(config.relay_sources[1].address[0], 0x20);
	assert_int_equal(line("relay-source 192.0.2.2"), -1);
	assert_refused("relay-source host", "is not an address");
	assert_refused("relay-source 192.0.2.0/24", "is not an address");

	assert_int_equal(line("relay-family ipv6"), 0);
	assert_int_equal(config.relay_family, RELAY_IPV6);
	assert_refused("relay-family ipv5", "needs both");
}

static void
test_small_ones(void **state)
{
	(void)state;
	assert_int_equal(line("recipient-delimiter -"), 0);
	assert_int_equal(config.recipient_delimiter, '-');
	assert_int_equal(option("recipient-delimiter none"), 0);
	assert_int_equal(config.recipient_delimiter, '\0');
	assert_refused("recipient-delimiter @", "needs one of");
	assert_refused("recipient-delimiter ++", "needs one of");
	assert_refused("recipient-delimiter a", "needs one of");

	assert_int_equal(line("domain-map /etc/map"), 0);
	assert_string_equal(config.domain_map, "/etc/map");
	assert_int_equal(option("domain-map none"), 0);
	assert_string_equal(config.domain_map, "");
	assert_refused("relay-recipients map", "not an absolute path");
	assert_refused("relay-auth ../x", "not an absolute path");

	assert_int_equal(line("command-user cmd"), 0);
	assert_string_equal(config.command_user.name, "cmd");
	assert_int_equal(option("command-user none"), 0);
	assert_string_equal(config.command_user.name, "");
	assert_refused("command-user -x", "not an account name");

	assert_int_equal(line("delay-notice 0"), 0);
	assert_int_equal(config.delay_notice, 0);
	assert_refused("relay-timeout 0", "out of bounds");
	assert_refused("max-recipients 1001", "out of bounds");
	assert_refused("max-messages 0", "out of bounds");
	assert_refused("max-errors 0", "out of bounds");
	assert_int_equal(line("rate-per-source 60"), 0);
	assert_int_equal(config.rate_per_source, 60);
}

/* No two kinds of process may share an account. */
static void
test_accounts(void **state)
{
	(void)state;
	assert_int_equal(line("relay-user _postern"), 0);
	assert_int_equal(config_finish(&config, report), -1);
	assert_string_equal(last,
	    "relay-user and worker-user must be two accounts");
	reset(NULL);
	assert_int_equal(line("command-user _posternk"), 0);
	assert_int_equal(config_finish(&config, report), -1);

	/* Only who sends mail needs all of them. */
	reset(NULL);
	assert_int_equal(line("worker-user nobody"), 0);
	assert_int_equal(line("queue-user bin"), 0);
	assert_int_equal(line("key-user daemon"), 0);
	assert_int_equal(line("relay-user no-such-account"), 0);
	assert_int_equal(line("resolver-user sync"), 0);
	assert_int_equal(config_resolve(&config, 0, report), 0);
	assert_int_equal(config_resolve(&config, 1, report), -1);
	assert_string_equal(last,
	    "relay-user: there is no account no-such-account");
	assert_int_equal(option("relay-user games"), 0);
	assert_int_equal(config_resolve(&config, 1, report), 0);
	assert_int_not_equal(config.resolver_user.uid, (uid_t)-1);
	assert_int_equal(option("command-user mail"), 0);
	assert_int_equal(config_resolve(&config, 0, report), 0);
	assert_int_not_equal(config.command_user.uid, (uid_t)-1);
	assert_int_equal(option("command-user root"), 0);
	assert_int_equal(config_resolve(&config, 0, report), -1);
	assert_int_equal(option("worker-user games"), 0);
	assert_int_equal(option("command-user nobody"), 0);
	assert_int_equal(config_resolve(&config, 0, report), -1);
	assert_non_null(strstr(last, "not user id 65534"));
}

static char dir[] = "/tmp/test_config_relay.XXXXXX", path[64];

static int
secrets(const char *text, mode_t mode)
{
	char keyword[128];
	int fd;

	reset(NULL);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	snprintf(keyword, sizeof(keyword), "relay-auth %s", path);
	assert_int_equal(line(keyword), 0);
	return config_read_secrets(&config, report);
}

static void
assert_bad_secrets(const char *text, const char *reason)
{
	assert_int_equal(secrets(text, 0600), -1);
	if (strstr(last, reason) == NULL)
		fail_msg("`%s' reported: %s", text, last);
	assert_null(strstr(last, "hush"));
}

static void
test_secrets(void **state)
{
	char text[2048];
	size_t i, n = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/auth", dir);
	assert_int_equal(secrets("# who we are\n\n"
	    "Mail.Example.org\tuser@example.org  my pass # word \n"
	    "[2001:db8::1] u p", 0600), 0);
	assert_int_equal(config.relay_auth_count, 2);
	assert_string_equal(config_relay_auth(&config,
	    "mail.EXAMPLE.org")->user, "user@example.org");
	assert_string_equal(config_relay_auth(&config,
	    "mail.example.org")->secret, "my pass # word ");
	assert_string_equal(config_relay_auth(&config, "2001:db8::1")->secret,
	    "p");
	assert_null(config_relay_auth(&config, "example.org"));

	assert_int_equal(secrets("a u p\n", 0640), -1);
	assert_non_null(strstr(last, "must have mode 0600"));
	assert_int_equal(config.relay_auth_count, 0);
	assert_int_equal(secrets("a u p\n", 0604), -1);
	assert_int_equal(secrets("a u p\n", 0602), -1);
	assert_int_equal(secrets("a u p\n", 0400), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(secrets("a u p\n", 0600), -1);
	assert_non_null(strstr(last, "refused"));
	assert_int_equal(chmod(dir, 0700), 0);

	assert_bad_secrets("a hush\n", "auth:1: needs a host, a user");
	assert_bad_secrets("\na..b u hush\n", "auth:2: does not begin with");
	assert_bad_secrets("[a] u hush\n", "does not begin with");
	assert_bad_secrets("a u hush\nA u2 hush\n", "named before");
	assert_bad_secrets("a u hush\r\n", "a control character");
	memset(text, 'x', sizeof(text));
	memcpy(text, "a u hush", 8);
	text[600] = '\0';
	assert_bad_secrets(text, "too long");
	for (i = 0; i <= CONFIG_RELAY_AUTH_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "h%zu u p\n",
		    i);
	assert_bad_secrets(text, "too many");

	assert_int_equal(unlink(path), 0);
	assert_int_equal(config_read_secrets(&config, report), -1);
	assert_non_null(strstr(last, "No such file"));
	assert_int_equal(mkfifo(path, 0600), 0);	/* must not block */
	assert_int_equal(config_read_secrets(&config, report), -1);
	assert_non_null(strstr(last, "not a file"));
	unlink(path);
	rmdir(dir);
}

static void
resolve(void)
{
	struct account_ids *users[] = { &config.worker_user,
	    &config.queue_user, &config.key_user, &config.relay_user,
	    &config.resolver_user, &config.command_user };
	unsigned i;

	for (i = 0; i < 6; i++)
		users[i]->uid = users[i]->gid = 801 + i;
}

static void
pass(enum role role)
{
	int fd = config_send(&config, role);

	assert_int_not_equal(fd, -1);
	assert_int_equal(config_receive(fd, role, &received), 0);
	close(fd);
}

static void
test_pass(void **state)
{
	static const char *const lines[] = {
		"dns-server 127.0.0.1@5300", "dns-server ::1",
		"relay-host smart.example:587", "relay-auth /x/auth",
		"relay-tls * encrypt", "relay-tls .a.example verify",
		"route a.example smtp://b.example", "route b.example lmtp:/x",
		"route c.example lmtp://[::1]:24", "relay-family ipv4",
		"relay-domains d.example .e.example", "relay-timeout 3s",
		"relay-source 192.0.2.1", "relay-source 2001:db8::1",
		"relay-recipients /x/r", "domain-map /x/m",
		"command-user cmd", "recipient-delimiter =",
		"delay-notice 1h", "max-messages 7", "max-recipients 8",
		"max-errors 9",
	};
	int is_named;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(line(lines[i]), 0);
	resolve();
	pass(ROLE_QUEUE);
	assert_string_equal(received.relay_host.host, "smart.example");
	assert_int_equal(received.relay_host.port, 587);
	assert_int_equal(config_relay_tls(&received, "x.a.example"),
	    RELAY_TLS_VERIFY);
	assert_int_equal(config_relay_tls(&received, "x"), RELAY_TLS_ENCRYPT);
	assert_string_equal(config_route(&received, "b.example",
	    &is_named)->host, "/x");
	assert_int_equal(config_route(&received, "c.example",
	    &is_named)->protocol, REMOTE_LMTP);
	assert_int_equal(received.relay_family, RELAY_IPV4);
	assert_int_equal(received.relay_source_count, 2);
	assert_memory_equal(&received.relay_sources, &config.relay_sources,
	    sizeof(config.relay_sources));
	assert_int_equal(received.command_user.uid, 806);
	assert_int_equal(received.delay_notice, 3600);
	assert_int_equal(received.dns_server_count, 0);
	assert_string_equal(received.relay_auth_file, "");
	assert_int_equal(received.relay_domain_count, 0);

	pass(ROLE_AGENTS);
	assert_true(config_is_relay_domain(&received, "x.e.example"));
	assert_string_equal(received.relay_recipients, "/x/r");
	assert_string_equal(received.domain_map, "/x/m");
	assert_int_equal(received.recipient_delimiter, '=');
	assert_int_equal(received.max_recipients, 8);
	assert_int_equal(received.max_messages, 7);
	assert_string_equal(received.relay_host.host, "");
	assert_int_equal(received.route_count, 0);

	pass(ROLE_SPAWNER);
	assert_int_equal(received.max_errors, 9);
	assert_string_equal(received.command_user.name, "");
	assert_string_equal(received.relay_user.name, "");

	pass(ROLE_RELAY);
	assert_string_equal(received.relay_user.name, "_posternr");
	assert_int_equal(received.relay_timeout, 3);
	assert_string_equal(received.run_dir, RUNDIR);
	assert_string_equal(received.relay_host.host, "");
	assert_string_equal(received.hostname, "localhost");
	assert_string_equal(received.queue_user.name, "");

	pass(ROLE_RESOLVER);
	assert_int_equal(received.dns_server_count, 2);
	assert_string_equal(received.dns_servers[0].address, "127.0.0.1");
	assert_int_equal(received.dns_servers[0].port, 5300);
	assert_string_equal(received.relay_user.name, "");
	assert_int_equal(received.relay_tls_count, 0);

	/* Who has no user for commands has none. */
	assert_int_equal(option("command-user none"), 0);
	pass(ROLE_LOGIN);
	assert_string_equal(received.command_user.name, "");
	assert_int_equal(received.command_user.uid, (uid_t)-1);
}

static int
srs_secrets(const char *said)
{
	char keyword[128];
	int fd;

	reset(NULL);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, said, strlen(said)), strlen(said));
	close(fd);
	snprintf(keyword, sizeof(keyword), "srs-secret %s", path);
	assert_int_equal(line(keyword), 0);
	return config_read_secrets(&config, report);
}

static void
test_srs_secrets(void **state)
{
	char said[8192];
	size_t i, n = 0;

	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/srs", dir);
	assert_int_equal(srs_secrets("# of us\n \n0123456789abcdef\n"
	    " with spaces, and # \n"), 0);
	assert_int_equal(config.srs_secret_count, 2);
	assert_string_equal(config.srs_secrets[0], "0123456789abcdef");
	assert_string_equal(config.srs_secrets[1], " with spaces, and # ");
	/* One keyword needs the other. */
	assert_int_equal(config_finish(&config, report), -1);
	assert_non_null(strstr(last, "one needs the other"));
	assert_int_equal(line("srs-domain SRS.example"), 0);
	assert_string_equal(config.srs_domain, "srs.example");
	assert_int_equal(config_finish(&config, report), 0);
	assert_int_equal(option("srs-secret none"), 0);
	assert_int_equal(config_finish(&config, report), -1);
	assert_int_equal(option("srs-domain none"), 0);
	assert_int_equal(config_finish(&config, report), 0);
	assert_int_equal(option("srs-domain .example"), -1);

	assert_int_equal(srs_secrets("# none\n"), -1);
	assert_non_null(strstr(last, "srs: there is no secret in it"));
	/* Half of it is not what the administrator wrote. */
	fails_at = 4;
	assert_int_equal(srs_secrets("0123456789abcdef0123456789abcdef\n"), -1);
	assert_non_null(strstr(last, "srs: Input/output error"));
	fails_at = 0;
	assert_int_equal(srs_secrets("\nhush56789abcdef\n"), -1);
	assert_non_null(strstr(last, "srs:2: too short"));
	assert_null(strstr(last, "hush"));
	for (i = 0; i <= CONFIG_SRS_SECRETS_MAX; i++)
		n += (size_t)snprintf(said + n, sizeof(said) - n,
		    "0123456789abcdef%zu\n", i);
	assert_int_equal(srs_secrets(said), -1);
	assert_non_null(strstr(last, "too many"));
	memset(said, 'x', sizeof(said));
	said[CONFIG_SECRET_MAX] = '\0';
	assert_int_equal(srs_secrets(said), -1);
	assert_non_null(strstr(last, "too long"));
	unlink(path);
	rmdir(dir);
}

/*
 * The passwords are the queue's and nobody else's; the secrets of srs-secret
 * its and the agents'.
 */
static void
test_pass_secrets(void **state)
{
	static uint8_t buf[CONFIG_PASS_MAX];
	ssize_t len;
	int role;

	(void)state;
	resolve();
	strcpy(config.relay_auths[0].host, "smart.example");
	strcpy(config.relay_auths[0].user, "hush-user");
	strcpy(config.relay_auths[0].secret, "hush-secret");
	config.relay_auth_count = 1;
	strcpy(config.relay_auth_file, "/hush");
	strcpy(config.srs_secrets[0], "quiet 0123456789");
	config.srs_secret_count = 1;
	strcpy(config.srs_secret_file, "/hush");
	for (role = 0; role <= ROLE_LAST; role++) {
		len = config_encode(&config, (enum role)role, buf,
		    sizeof(buf));
		assert_true(len > 0);
		assert_int_equal(memmem(buf, (size_t)len, "hush", 4) != NULL,
		    role == ROLE_QUEUE);
		assert_int_equal(memmem(buf, (size_t)len, "quiet", 5) != NULL,
		    role == ROLE_QUEUE || role == ROLE_AGENTS);
		assert_int_equal(config_decode(buf, (size_t)len,
		    (enum role)role, &received), 0);
		assert_int_equal(received.relay_auth_count,
		    role == ROLE_QUEUE);
	}
	pass(ROLE_QUEUE);
	assert_string_equal(config_relay_auth(&received,
	    "smart.example")->secret, "hush-secret");
	config_forget_secrets(&config);
	assert_null(memmem(&config, sizeof(config), "hush-", 5));
	assert_null(memmem(&config, sizeof(config), "quiet", 5));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_defaults, reset),
		cmocka_unit_test_setup(test_dns_server, reset),
		cmocka_unit_test_setup(test_relay_host, reset),
		cmocka_unit_test_setup(test_routes, reset),
		cmocka_unit_test_setup(test_relay_tls, reset),
		cmocka_unit_test_setup(test_lists, reset),
		cmocka_unit_test_setup(test_small_ones, reset),
		cmocka_unit_test_setup(test_accounts, reset),
		cmocka_unit_test_setup(test_secrets, reset),
		cmocka_unit_test_setup(test_srs_secrets, reset),
		cmocka_unit_test_setup(test_pass, reset),
		cmocka_unit_test_setup(test_pass_secrets, reset),
	};

	return cmocka_run_group_tests_name("test_config_relay", tests, NULL,
	    NULL);
}
