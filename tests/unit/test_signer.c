/* LINK: privsep/signer_keys privsep/signer_certificate privsep/signer_content privsep/keyring privsep/gates privsep/role privsep/become privsep/sandbox-linux privsep/sandbox-tables privsep/message privsep/log privsep/facts privsep/config privsep/config_pass privsep/config_coder privsep/config_pass_relay privsep/config_route */
/* LIBS: -lcrypto */
/*
 * The signer's sessions: one signature each, on what may be signed; whatever
 * else a worker sends ends its session and is told of.
 */
int	signer_main(void);

#define main signer_main
#include "privsep/signer.c"
#undef main

#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static int master;		/* its end */
static uint8_t content[130];
static EVP_PKEY *key;

/* Thousands of faults are on their way. */
static void
quiet(int level, const char *line)
{
	(void)level;
	(void)line;
}

static void
load_new_key(void)
{
	static struct keyring ring;
	BIO *chain = BIO_new(BIO_s_mem()), *private = BIO_new(BIO_s_mem());
	X509 *x = X509_new();
	char *octets;

	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509_gmtime_adj(X509_getm_notBefore(x), -100);
	X509_gmtime_adj(X509_getm_notAfter(x), 90 * 86400L);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, NULL) > 0);
	assert_true(PEM_write_bio_X509(chain, x));
	assert_true(PEM_write_bio_PrivateKey(private, key, NULL, NULL, 0,
	    NULL, NULL));
	ring.count = 1;
	ring.pairs[0].chain_len = (size_t)BIO_get_mem_data(chain, &octets);
	ring.pairs[0].chain = octets;
	ring.pairs[0].key_len = (size_t)BIO_get_mem_data(private, &octets);
	ring.pairs[0].key = octets;
	assert_int_equal(signer_keys_load(&ring, time(NULL), tell), 0);
	X509_free(x);
	BIO_free(chain);
	BIO_free(private);
}

static int
setup_all(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == -1)
		return -1;
	master = fcntl(pair[0], F_DUPFD, 32);
	if (dup2(pair[1], 31) == -1 || dup2(31, FD_MASTER) == -1)
		return -1;
	log_init_master(quiet);
	signer.config.login_timeout = 60;
	prepare_loop();
	load_new_key();
	memset(content, ' ', 64);
	memcpy(content + 64, "TLS 1.3, server CertificateVerify", 34);
	memset(content + 98, 0x77, 32);
	return 0;
}

static int
teardown_all(void **state)
{
	(void)state;
	signer_keys_forget();
	EVP_PKEY_free(key);
	return 0;
}

/* As the master does it; returns the worker's end. */
static int
begin(uint64_t id, int with_request)
{
	struct facts facts = { .session = id, .service = SERVICE_POP3S,
	    .uid = FACTS_NO_UID, .client = "192.0.2.7", .local = "192.0.2.1" };
	struct message m;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	if (with_request) {
		message_begin(&m, REQ_SIGN);
		put_u32(&m, 0);
		put_u32(&m, SIGN_ED25519);
		put_data(&m, content, sizeof(content));
		assert_int_equal(message_send(pair[0], &m), 0);
	}
	message_begin(&m, CH_SERVE);
	put_facts(&m, &facts);
	put_fd(&m, pair[1]);
	assert_int_equal(message_send(master, &m), 0);
	close(pair[1]);
	return pair[0];
}

/* One turn of the loop, without its wait. */
static void
turn(void)
{
	struct epoll_event events[EVENTS_MAX];
	int i, n;

	n = epoll_wait(signer.epoll, events, EVENTS_MAX, 0);
	for (i = 0; i < n; i++)
		if (events[i].data.ptr == NULL)
			master_serve();
		else if (session_serve(events[i].data.ptr) == -1)
			session_end(events[i].data.ptr);
}

static void
assert_signed(int sock)
{
	uint8_t signature[SIGN_SIGNATURE_MAX];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct message m;
	size_t len;

	assert_int_equal(message_wait(sock, &m, 0, 60000), 1);
	assert_int_equal(m.type, REPLY_SIGN);
	get_data(&m, signature, sizeof(signature), &len);
	assert_int_equal(get_end(&m), 0);
	assert_int_equal(EVP_DigestVerifyInit(md, NULL, NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestVerify(md, signature, len, content,
	    sizeof(content)), 1);
	EVP_MD_CTX_free(md);
}

/* No signature, and nobody there any more. */
static void
assert_ended(int sock)
{
	struct message m;
	int n = message_wait(sock, &m, 0, 60000);

	assert_true(n == 0 || (n == -1 && errno == ECONNRESET));
	close(sock);
}

static void
assert_fault_told(uint64_t id)
{
	struct message m;

	assert_int_equal(message_recv(master, &m, 0), 1);
	assert_int_equal(m.type, CH_NOTE);
	assert_int_equal(get_u64(&m), id);
	assert_int_equal(get_u32(&m), NOTE_GATE_FAULT);
	assert_int_equal(get_end(&m), 0);
}

static void
assert_nothing_told(void)
{
	struct message m;

	assert_int_equal(message_recv(master, &m, 0), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(signer.count, 0);
	assert_true(TAILQ_EMPTY(&signer.sessions));
}

static void
test_one_signature(void **state)
{
	int sock = begin(1, 1);

	(void)state;
	turn();
	assert_signed(sock);
	assert_ended(sock);
	assert_nothing_told();
}

/* The request comes after the session did. */
static void
test_late_request(void **state)
{
	int sock = begin(1, 0);
	struct message m;

	(void)state;
	turn();
	assert_int_equal(signer.count, 1);
	turn();
	assert_int_equal(signer.count, 1);
	message_begin(&m, REQ_SIGN);
	put_u32(&m, 0);
	put_u32(&m, SIGN_ED25519);
	put_data(&m, content, sizeof(content));
	assert_int_equal(message_send(sock, &m), 0);
	turn();
	assert_signed(sock);
	assert_ended(sock);
	assert_nothing_told();
}

/* Two at once: one signature at most, and the fault is told of. */
static void
test_two_requests(void **state)
{
	int sock = begin(7, 1);
	struct message m;

	(void)state;
	message_begin(&m, REQ_SIGN);
	put_u32(&m, 0);
	put_u32(&m, SIGN_ED25519);
	put_data(&m, content, sizeof(content));
	assert_int_equal(message_send(sock, &m), 0);
	turn();
	assert_signed(sock);
	assert_ended(sock);
	assert_fault_told(7);
	assert_nothing_told();
}

static void
assert_refused(const struct message *m)
{
	int sock = begin(9, 0);

	assert_int_equal(message_send(sock, m), 0);
	turn();
	assert_ended(sock);
	assert_fault_told(9);
	assert_nothing_told();
}

static void
sign_request(struct message *m, uint32_t place, uint32_t scheme,
    const void *octets, size_t len)
{
	message_begin(m, REQ_SIGN);
	put_u32(m, place);
	put_u32(m, scheme);
	put_data(m, octets, len);
}

static void
test_refused(void **state)
{
	uint8_t long_content[SIGN_CONTENT_MAX + 1];
	struct message m;
	uint32_t type;

	(void)state;
	sign_request(&m, 1, SIGN_ED25519, content, sizeof(content));
	assert_refused(&m);			/* no such key */
	sign_request(&m, UINT32_MAX, SIGN_ED25519, content, sizeof(content));
	assert_refused(&m);
	sign_request(&m, 0, SIGN_ECDSA_SHA256, content, sizeof(content));
	assert_refused(&m);			/* not this key's scheme */
	sign_request(&m, 0, SIGN_ED25519, content, sizeof(content) - 1);
	assert_refused(&m);
	sign_request(&m, 0, SIGN_ED25519, content, 0);
	assert_refused(&m);
	memset(long_content, ' ', sizeof(long_content));
	sign_request(&m, 0, SIGN_ED25519, long_content, SIGN_CONTENT_MAX);
	assert_refused(&m);
	sign_request(&m, 0, SIGN_ED25519, long_content, SIGN_CONTENT_MAX + 1);
	assert_refused(&m);			/* larger than the gate */
	sign_request(&m, 0, SIGN_ED25519, content, sizeof(content));
	put_u32(&m, 0);				/* something behind it */
	assert_refused(&m);
	sign_request(&m, 0, SIGN_ED25519, content, sizeof(content));
	put_fd(&m, STDIN_FILENO);		/* a descriptor with it */
	assert_refused(&m);
	for (type = 0; type < 0x800; type++) {
		if (type == REQ_SIGN)
			continue;
		sign_request(&m, 0, SIGN_ED25519, content, sizeof(content));
		m.type = type;
		assert_refused(&m);
	}
}

/* What is no message at all. */
static void
test_runt(void **state)
{
	int sock = begin(3, 0);

	(void)state;
	assert_int_equal(send(sock, "x", 1, 0), 1);
	turn();
	assert_ended(sock);
	assert_fault_told(3);
	assert_nothing_told();
}

/* A worker that goes without a word has done nothing wrong. */
static void
test_silent(void **state)
{
	int sock = begin(1, 0);

	(void)state;
	turn();
	close(sock);
	turn();
	assert_nothing_told();
}

/* Who does not ask in time is let go, in the order in which they came. */
static void
test_deadlines(void **state)
{
	struct signer_session *s;
	int a = begin(1, 0), b = begin(2, 0), ms;

	(void)state;
	turn();
	assert_int_equal(signer.count, 2);
	ms = enforce_deadlines();
	assert_true(ms > 85000 && ms <= 90000);
	s = TAILQ_FIRST(&signer.sessions);
	assert_int_equal(s->facts.session, 1);
	s->deadline = now();
	assert_true(enforce_deadlines() > 0);
	assert_int_equal(signer.count, 1);
	assert_ended(a);
	TAILQ_FIRST(&signer.sessions)->deadline = now() - 5;
	assert_int_equal(enforce_deadlines(), -1);
	assert_ended(b);
	assert_nothing_told();
}

/* Over the bound the newest goes, and those who are there stay. */
static void
test_too_many(void **state)
{
	int a = begin(1, 0), b;
	struct message m;

	(void)state;
	turn();
	signer.count = SESSIONS_MAX;
	b = begin(2, 1);
	turn();
	assert_ended(b);
	signer.count = 1;
	sign_request(&m, 0, SIGN_ED25519, content, sizeof(content));
	assert_int_equal(message_send(a, &m), 0);
	turn();
	assert_signed(a);
	assert_ended(a);
	assert_nothing_told();
}

/* Hundreds wait, and each is answered once. */
static void
test_crowd(void **state)
{
	enum { CROWD = 300 };
	static int socks[CROWD];
	struct message m;
	int i;

	(void)state;
	for (i = 0; i < CROWD; i++) {
		socks[i] = begin((uint64_t)i + 1, 0);
		turn();
	}
	assert_int_equal(signer.count, CROWD);
	for (i = CROWD - 1; i >= 0; i--) {
		sign_request(&m, 0, SIGN_ED25519, content, sizeof(content));
		assert_int_equal(message_send(socks[i], &m), 0);
	}
	for (i = 0; i < CROWD && signer.count > 0; i++)
		turn();
	for (i = 0; i < CROWD; i++) {
		assert_signed(socks[i]);
		assert_ended(socks[i]);
	}
	assert_nothing_told();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_signature),
		cmocka_unit_test(test_late_request),
		cmocka_unit_test(test_two_requests),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_runt),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests_name("test_signer", tests, setup_all,
	    teardown_all);
}
