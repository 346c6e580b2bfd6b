/* LINK: privsep/keyring privsep/keyring_send privsep/config privsep/config_file privsep/config_parse privsep/config_set privsep/config_relay privsep/config_listen privsep/facts privsep/message */
/*
 * The keyring: which files are taken, what the roles get, and that nothing
 * else is a keyring (C24).
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/keyring_layout.h"
#include "tests/plain_file.h"

#define KEY	"the key's octets, which are nobody's\n"
#define CHAIN	"the chain's octets\n"

static struct config config;
static struct keyring ring;
static char dir[64];
static char last[4096];		/* the last report */
static int reports;

static void
report(const char *text)
{
	snprintf(last, sizeof(last), "%s", text);
	reports++;
}

static void
write_file(const char *path, const void *octets, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, octets, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
in_dir(char *path, const char *name)
{
	snprintf(path, CONFIG_PATH_MAX, "%s/%s", dir, name);
}

static int
setup(void **state)
{
	(void)state;
	config_default(&config);
	config.certificate_count = 0;
	strlcpy(dir, "/tmp/test_ring.XXXXXX", sizeof(dir));
	if (mkdtemp(dir) == NULL)
		return -1;
	in_dir(config.tls_certificate, "chain.pem");
	in_dir(config.tls_key, "key.pem");
	write_file(config.tls_certificate, CHAIN, strlen(CHAIN), 0644);
	write_file(config.tls_key, KEY, strlen(KEY), 0600);
	memset(&ring, 0, sizeof(ring));
	last[0] = '\0';
	reports = 0;
	return 0;
}

static int
teardown(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	keyring_forget(&ring);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid ? 0 : -1;
}

/* One of the two rings; the other is let go. */
static int
send_ring(int with_keys)
{
	int certificates, keys;

	if (keyring_send(&config, &certificates, &keys, report) == -1)
		return -1;
	close(with_keys ? certificates : keys);
	return with_keys ? keys : certificates;
}

static void
assert_refused(const char *file, const char *reason)
{
	assert_int_equal(send_ring(1), -1);
	assert_int_equal(strncmp(last, file, strlen(file)), 0);
	assert_int_equal(last[strlen(file)], ':');
	if (strstr(last, reason) == NULL)
		fail_msg("%s: not because: %s", last, reason);
	assert_int_equal(reports, 1);
	reports = 0;
}

static void
test_both(void **state)
{
	int fd = send_ring(1);

	(void)state;
	assert_int_not_equal(fd, -1);
	assert_int_equal(keyring_receive(fd, &ring), 0);
	assert_int_equal(ring.count, 1);
	assert_string_equal(ring.pairs[0].name, "");
	assert_string_equal(ring.pairs[0].chain_file, config.tls_certificate);
	assert_string_equal(ring.pairs[0].key_file, config.tls_key);
	assert_int_equal(ring.pairs[0].chain_len, strlen(CHAIN));
	assert_memory_equal(ring.pairs[0].chain, CHAIN, strlen(CHAIN));
	assert_int_equal(ring.pairs[0].key_len, strlen(KEY));
	assert_memory_equal(ring.pairs[0].key, KEY, strlen(KEY));
	/* The memfd was taken. */
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	keyring_forget(&ring);
	assert_int_equal(ring.count, 0);
	assert_null(ring.map);
	keyring_forget(&ring);
}

static size_t
octets_of(int fd, uint8_t *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size, 0);

	assert_true(n > 0 && (size_t)n < size);
	return (size_t)n;
}

/* The spawner's ring has no octet of a key, and no name of one's file. */
static void
test_certificates_only(void **state)
{
	uint8_t buf[8192];
	size_t len;
	int fd;

	(void)state;
	fd = send_ring(0);
	assert_int_not_equal(fd, -1);
	len = octets_of(fd, buf, sizeof(buf));
	assert_null(memmem(buf, len, "key", 3));
	assert_int_equal(keyring_receive(fd, &ring), 0);
	assert_null(ring.pairs[0].key);
	assert_int_equal(ring.pairs[0].key_len, 0);
	assert_string_equal(ring.pairs[0].key_file, "");
	assert_memory_equal(ring.pairs[0].chain, CHAIN, strlen(CHAIN));
}

/* As many as can be, each with its own octets. */
static void
test_many(void **state)
{
	char text[64];
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < CONFIG_CERTIFICATES_MAX; i++) {
		struct certificate *c = &config.certificates[i];

		snprintf(c->name, sizeof(c->name), "host%zu.example.org", i);
		snprintf(text, sizeof(text), "chain%zu", i);
		in_dir(c->file, text);
		write_file(c->file, text, strlen(text), 0644);
		snprintf(text, sizeof(text), "private%zu", i);
		in_dir(c->key, text);
		write_file(c->key, text, strlen(text), 0400);
	}
	config.certificate_count = CONFIG_CERTIFICATES_MAX;
	fd = send_ring(1);
	assert_int_equal(keyring_receive(fd, &ring), 0);
	assert_int_equal(ring.count, KEYRING_MAX);
	for (i = 0; i < CONFIG_CERTIFICATES_MAX; i++) {
		const struct keyring_pair *p = &ring.pairs[i + 1];

		assert_string_equal(p->name, config.certificates[i].name);
		snprintf(text, sizeof(text), "chain%zu", i);
		assert_int_equal(p->chain_len, strlen(text));
		assert_memory_equal(p->chain, text, strlen(text));
		snprintf(text, sizeof(text), "private%zu", i);
		assert_int_equal(p->key_len, strlen(text));
		assert_memory_equal(p->key, text, strlen(text));
	}
}

/* certbot's live/NAME/ is links, relative ones, into archive/. */
static void
test_links(void **state)
{
	char path[CONFIG_PATH_MAX];
	int fd;

	(void)state;
	in_dir(path, "live");
	assert_int_equal(mkdir(path, 0700), 0);
	in_dir(path, "live/key.pem");
	assert_int_equal(symlink("../key.pem", path), 0);
	strlcpy(config.tls_key, path, sizeof(config.tls_key));
	fd = send_ring(1);
	assert_int_equal(keyring_receive(fd, &ring), 0);
	assert_memory_equal(ring.pairs[0].key, KEY, strlen(KEY));
	/* One that leads nowhere. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("../gone.pem", path), 0);
	assert_refused(path, "No such file");
}

static void
test_modes(void **state)
{
	static const struct {
		mode_t		mode;
		int		is_key_ok;	/* as root's */
		int		is_chain_ok;
	} cases[] = {
		{ 0600, 1, 1 }, { 0400, 1, 1 }, { 0640, 1, 1 },
		{ 0440, 1, 1 }, { 0644, 0, 1 }, { 0604, 0, 1 },
		{ 0601, 0, 1 }, { 0602, 0, 0 }, { 0620, 0, 0 },
		{ 0660, 0, 0 }, { 0666, 0, 0 }, { 0777, 0, 0 }
	};
	size_t i;
	int fd, is_ok;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(chmod(config.tls_key, cases[i].mode), 0);
		is_ok = cases[i].is_key_ok &&
		    (geteuid() == 0 || (cases[i].mode & 070) == 0);
		fd = send_ring(1);
		assert_int_equal(fd != -1, is_ok);
		if (fd != -1)
			close(fd);
		assert_int_equal(chmod(config.tls_key, 0600), 0);
		assert_int_equal(chmod(config.tls_certificate, cases[i].mode),
		    0);
		fd = send_ring(1);
		assert_int_equal(fd != -1, cases[i].is_chain_ok);
		if (fd != -1)
			close(fd);
		assert_int_equal(chmod(config.tls_certificate, 0644), 0);
	}
	reports = 0;
	assert_int_equal(chmod(config.tls_key, 0644), 0);
	assert_refused(config.tls_key, "must not be readable by others");
}

static void
test_owner(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(config.tls_key, 1000, 1000), 0);
	assert_refused(config.tls_key, "somebody else than root can change");
	assert_int_equal(chown(config.tls_key, 0, 0), 0);
	assert_int_equal(chown(config.tls_certificate, 1000, 1000), 0);
	assert_refused(config.tls_certificate, "somebody else than root");
	assert_int_equal(chown(config.tls_certificate, 0, 0), 0);
	/* A directory in which another can put another file. */
	assert_int_equal(chmod(dir, 0770), 0);
	assert_int_equal(send_ring(1), -1);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(chown(dir, 1000, 1000), 0);
	assert_int_equal(send_ring(1), -1);
	assert_int_equal(chown(dir, 0, 0), 0);
}

static void
test_kinds_of_file(void **state)
{
	char path[CONFIG_PATH_MAX];

	(void)state;
	in_dir(path, "other");
	strlcpy(config.tls_key, path, sizeof(config.tls_key));
	assert_refused(path, "No such file");
	assert_int_equal(mkdir(path, 0700), 0);
	assert_refused(path, "not a regular file");
	assert_int_equal(rmdir(path), 0);
	/* Nobody waits for who would write to it. */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(path, "not a regular file");
	assert_int_equal(unlink(path), 0);
	strlcpy(config.tls_key, "/dev/null", sizeof(config.tls_key));
	assert_int_equal(send_ring(1), -1);
}

static void
test_sizes(void **state)
{
	char *big = calloc(1, KEYRING_PEM_MAX + 1);
	int fd;

	(void)state;
	assert_non_null(big);
	write_file(config.tls_key, "", 0, 0600);
	assert_refused(config.tls_key, "empty");
	write_file(config.tls_key, big, KEYRING_PEM_MAX + 1, 0600);
	assert_refused(config.tls_key, "larger than 262144 octets");
	write_file(config.tls_key, big, KEYRING_PEM_MAX, 0600);
	fd = send_ring(1);
	assert_int_equal(keyring_receive(fd, &ring), 0);
	assert_int_equal(ring.pairs[0].key_len, KEYRING_PEM_MAX);
	free(big);
}

/* Every file that is wrong is named, not the first alone. */
static void
test_all_are_told(void **state)
{
	(void)state;
	assert_int_equal(unlink(config.tls_key), 0);
	assert_int_equal(unlink(config.tls_certificate), 0);
	assert_int_equal(send_ring(1), -1);
	assert_int_equal(reports, 2);
}

static void
test_sealed(void **state)
{
	int fd = send_ring(1);

	(void)state;
	assert_int_equal(fcntl(fd, F_GET_SEALS), KEYRING_SEALS);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_true(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0) == MAP_FAILED);
	/* A role that gets it again, after a crash, finds it as it was. */
	assert_int_equal(keyring_receive(dup(fd), &ring), 0);
	keyring_forget(&ring);
	assert_int_equal(keyring_receive(fd, &ring), 0);
}

static int
memfd_with(const uint8_t *octets, size_t len, int seals)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING);

	assert_int_not_equal(fd, -1);
	if (len > 0)
		assert_int_equal(write(fd, octets, len), (ssize_t)len);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void
assert_no_keyring(int fd)
{
	errno = 0;
	assert_int_equal(keyring_receive(fd, &ring), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(ring.count, 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void
test_not_sealed(void **state)
{
	static const int seals[] = { F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW,
	    F_SEAL_WRITE };
	uint8_t buf[8192];
	size_t i, len;
	int fd = send_ring(1), file;

	(void)state;
	len = octets_of(fd, buf, sizeof(buf));
	close(fd);
	assert_int_equal(keyring_receive(memfd_with(buf, len, KEYRING_SEALS),
	    &ring), 0);
	keyring_forget(&ring);
	for (i = 0; i < 4; i++)
		assert_no_keyring(memfd_with(buf, len,
		    KEYRING_SEALS & ~seals[i]));
	assert_no_keyring(memfd_with(buf, 0, KEYRING_SEALS));
	file = open(config.tls_key, O_RDONLY);
	assert_no_keyring(file);
	/* What can have no seals at all, where the program lies. */
	assert_no_keyring(plain_file_with(buf, len));
}

/* Each truncation, anything behind it, and each octet of the header. */
static void
test_strict(void **state)
{
	uint8_t buf[8192], c[8192];
	size_t n, len, header;
	int fd = send_ring(1);

	(void)state;
	len = octets_of(fd, buf, sizeof(buf));
	close(fd);
	header = len - strlen(CHAIN) - strlen(KEY);
	for (n = 0; n < len; n++)
		assert_int_equal(keyring_decode(buf, n, &ring), -1);
	buf[len] = 0;
	assert_int_equal(keyring_decode(buf, len + 1, &ring), -1);
	assert_int_equal(keyring_decode(buf, len, &ring), 0);
	for (n = 0; n < header; n++) {
		memcpy(c, buf, len);
		c[n] ^= 0x80;
		/* Any octet of a file's name but these will do. */
		if (keyring_decode(c, len, &ring) == 0)
			assert_true(strcmp(ring.pairs[0].chain_file,
			    config.tls_certificate) != 0 ||
			    strcmp(ring.pairs[0].key_file,
			    config.tls_key) != 0);
		c[n] = 0;
		if (buf[n] != 0)
			assert_int_equal(keyring_decode(c, len, &ring), -1);
	}
	memset(&ring, 0, sizeof(ring));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both, setup, teardown),
		cmocka_unit_test_setup_teardown(test_certificates_only, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds_of_file, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_are_told, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_sealed, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_strict, setup, teardown),
	};

	return cmocka_run_group_tests_name("test_keyring", tests, NULL, NULL);
}
