/* LINK: privsep/config privsep/config_file privsep/config_parse privsep/config_set privsep/config_listen privsep/config_relay privsep/config_secrets privsep/config_pass privsep/config_coder privsep/config_pass_relay privsep/config_route */
/*
 * The configuration: what each role gets of it, and that nobody else's octets
 * are taken for it (C23).
 */
#include "config_lines.h"
#include "tests/plain_file.h"

#define ROLES	(ROLE_LAST + 1)

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

/* The queue knows where other hosts find us; nobody else, and no more. */
static void
test_pass_listeners(void **state)
{
	static const char *const texts[] = { "0.0.0.0", "192.0.2.7",
	    "2001:db8::7" };
	const struct sockaddr_in *in;
	const struct sockaddr_in6 *in6;
	char text[INET6_ADDRSTRLEN];
	size_t i;
	int fd;

	(void)state;
	assert_int_equal(parse("listen submission *:587\nlisten lmtp /x/lmtp\n"
	    "listen smtp 0.0.0.0:25\nlisten smtp 192.0.2.7:2525\n"
	    "listen smtp [2001:db8::7]:2526\n"), 0);
	resolve();
	fd = config_send(&config, ROLE_QUEUE);
	assert_int_equal(config_receive(fd, ROLE_QUEUE, &received), 0);
	close(fd);
	assert_int_equal(received.listener_count, 3);
	for (i = 0; i < 3; i++) {
		in = (const void *)&received.listeners[i].address;
		in6 = (const void *)&received.listeners[i].address;
		assert_int_equal(received.listeners[i].service, SERVICE_SMTP);
		assert_int_equal(in->sin_family, i == 2 ? AF_INET6 : AF_INET);
		assert_non_null(inet_ntop(in->sin_family, i == 2 ?
		    (const void *)&in6->sin6_addr : &in->sin_addr, text,
		    sizeof(text)));
		assert_string_equal(text, texts[i]);
		assert_int_equal(ntohs(i == 2 ? in6->sin6_port : in->sin_port),
		    i == 0 ? 25 : 2524 + i);
	}
	/* None: from inetd, say. */
	config.listener_count = 0;
	fd = config_send(&config, ROLE_QUEUE);
	assert_int_equal(config_receive(fd, ROLE_QUEUE, &received), 0);
	assert_int_equal(received.listener_count, 0);
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
	strcpy(config.srs_domain, config.domains[0]);
	for (i = 0; i < CONFIG_SRS_SECRETS_MAX; i++)
		memset(config.srs_secrets[i], 's', CONFIG_SECRET_MAX - 1);
	config.srs_secret_count = CONFIG_SRS_SECRETS_MAX;
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
	/* What can have no seals at all. */
	fd = plain_file_with(buf, (size_t)len);
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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_pass_only_what_is_needed, reset),
		cmocka_unit_test_setup(test_pass_listeners, reset),
		cmocka_unit_test_setup(test_pass_no_certificates, reset),
		cmocka_unit_test_setup(test_pass_full, reset),
		cmocka_unit_test_setup(test_pass_garbage, reset),
		cmocka_unit_test_setup(test_pass_unsealed, reset),
	};

	return cmocka_run_group_tests_name("test_config_pass", tests, NULL,
	    NULL);
}
