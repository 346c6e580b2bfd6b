/*
 * config_pass: the configuration on its way from the master to a role, in a
 * sealed memfd, field by field, and only the fields that the role needs.
 *
 * config_send() runs in the master, as root; config_receive() in every role,
 * before it gives up its privileges.  A role obeys what it reads here, so the
 * decoder refuses whatever the encoder would not have written: one octet more
 * or less, another order, a value out of bounds, a memfd that is not sealed.
 *
 * A larger thing than message.h takes, so it has its own little coder.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "config_coder.h"
#include "config_table.h"

#define PASS_MAGIC	0x43545350U	/* "PSTC" */
#define PASS_END	0xffffffffU
#define SEALS	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static void
put_domains(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	size_t i;

	(void)f;
	coder_put_number(k, (uint32_t)c->domain_count);
	for (i = 0; i < c->domain_count; i++)
		coder_put_string(k, c->domains[i]);
}

static void
get_domains(struct coder *k, struct config *c, const struct config_field *f)
{
	size_t i;

	(void)f;
	c->domain_count = coder_get_count(k, CONFIG_DOMAINS_MAX);
	for (i = 0; i < c->domain_count && !k->bad; i++) {
		coder_get_string(k, c->domains[i], HOSTNAME_MAX);
		if (!config_is_hostname(c->domains[i]))
			k->bad = 1;
	}
}

static void
put_schedule(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	const uint32_t *list = FIELD_CONST(uint32_t, c, f);
	size_t i;

	coder_put_number(k, (uint32_t)COUNT_IN(c, f));
	for (i = 0; i < COUNT_IN(c, f); i++)
		coder_put_number(k, list[i]);
}

static void
get_schedule(struct coder *k, struct config *c, const struct config_field *f)
{
	uint32_t *list = FIELD_AT(uint32_t, c, f);
	size_t i, n = coder_get_count(k, CONFIG_RETRY_MAX);

	if (n == 0)
		k->bad = 1;
	for (i = 0; i < n && !k->bad; i++)
		list[i] = (uint32_t)coder_get_bounded(k, f, coder_get_number(k));
	*COUNT_OF(c, f) = n;
}

static void
put_mailbox(struct coder *k, const struct config *c,
    const struct config_field *f)
{
	coder_put_number(k, c->mailbox_format);
	coder_put_string(k, FIELD_CONST(char, c, f));
}

static void
get_mailbox(struct coder *k, struct config *c, const struct config_field *f)
{
	uint32_t format = coder_get_number(k);

	if (format > MAILBOX_MBOX)
		k->bad = 1;
	else
		c->mailbox_format = (enum mailbox_format)format;
	coder_get_string(k, FIELD_AT(char, c, f), CONFIG_PATH_MAX);
	if (!config_is_mailbox_path(c->mailbox_path))
		k->bad = 1;
}

static void
put_user(struct coder *k, const struct config *c, const struct config_field *f)
{
	const struct account_ids *user = FIELD_CONST(struct account_ids, c, f);

	coder_put_string(k, user->name);
	coder_put_number(k, user->uid);
	coder_put_number(k, user->gid);
	if (!config_is_service_id(user->uid) || !config_is_service_id(user->gid))
		k->bad = 1;	/* config_resolve() was forgotten */
}

static void
get_user(struct coder *k, struct config *c, const struct config_field *f)
{
	struct account_ids *user = FIELD_AT(struct account_ids, c, f);

	coder_get_string(k, user->name, sizeof(user->name));
	user->uid = coder_get_number(k);
	user->gid = coder_get_number(k);
	if (!config_is_account(user->name) || !config_is_service_id(user->uid) ||
	    !config_is_service_id(user->gid))
		k->bad = 1;
}

static void
put_text(struct coder *k, const struct config *c, const struct config_field *f)
{
	coder_put_string(k, FIELD_CONST(char, c, f));
}

static void
get_hostname(struct coder *k, struct config *c, const struct config_field *f)
{
	char *host = FIELD_AT(char, c, f);

	coder_get_string(k, host, HOSTNAME_MAX);
	if (!config_is_hostname(host))
		k->bad = 1;
}

static void
get_path(struct coder *k, struct config *c, const struct config_field *f)
{
	char *path = FIELD_AT(char, c, f);

	coder_get_string(k, path, CONFIG_PATH_MAX);
	/* Only pam-confdir may be empty: the system's own. */
	if (!config_is_path(path) && (path[0] != '\0' ||
	    f->offset != offsetof(struct config, pam_confdir)))
		k->bad = 1;
}

static void
get_service(struct coder *k, struct config *c, const struct config_field *f)
{
	char *service = FIELD_AT(char, c, f);

	coder_get_string(k, service, sizeof(c->pam_service));
	if (!config_is_service(service))
		k->bad = 1;
}

static void
put_size(struct coder *k, const struct config *c, const struct config_field *f)
{
	uint64_t v = *FIELD_CONST(uint64_t, c, f);

	coder_put_number(k, (uint32_t)v);
	coder_put_number(k, (uint32_t)(v >> 32));
}

static void
get_size(struct coder *k, struct config *c, const struct config_field *f)
{
	uint64_t v = coder_get_number(k);

	v |= (uint64_t)coder_get_number(k) << 32;
	*FIELD_AT(uint64_t, c, f) = coder_get_bounded(k, f, v);
}

static void
put_count(struct coder *k, const struct config *c, const struct config_field *f)
{
	coder_put_number(k, *FIELD_CONST(uint32_t, c, f));
}

static void
get_u32_field(struct coder *k, struct config *c, const struct config_field *f)
{
	*FIELD_AT(uint32_t, c, f) =
	    (uint32_t)coder_get_bounded(k, f, coder_get_number(k));
}

static const struct config_coder coders[KIND_COUNT] = {
	[KIND_HOSTNAME] = { put_text, get_hostname },
	[KIND_DOMAINS] = { put_domains, get_domains },
	[KIND_MAILBOX] = { put_mailbox, get_mailbox },
	[KIND_PATH] = { put_text, get_path },
	[KIND_SIZE] = { put_size, get_size },
	[KIND_SCHEDULE] = { put_schedule, get_schedule },
	[KIND_DURATION] = { put_count, get_u32_field },
	[KIND_NUMBER] = { put_count, get_u32_field },
	[KIND_DAYS] = { put_count, get_u32_field },
	[KIND_SWITCH] = { put_count, get_u32_field },
	[KIND_USER] = { put_user, get_user },
	[KIND_SERVICE] = { put_text, get_service },
};

/* Kinds without a coder never leave the master. */
static const struct config_coder *
coder_of(const struct config_field *f)
{
	return coders[f->kind].put != NULL ? &coders[f->kind] :
	    &config_relay_coders[f->kind];
}

ssize_t
config_encode(const struct config *c, enum role role, uint8_t *buf, size_t size)
{
	struct coder k = { .out = buf, .size = size };
	const struct config_field *f;
	size_t i;

	coder_put_number(&k, PASS_MAGIC);
	coder_put_number(&k, role);
	for (i = 0; i < config_field_count; i++) {
		f = &config_fields[i];
		if ((f->roles & TO(role)) == 0)
			continue;
		coder_put_number(&k, (uint32_t)i);
		if (coder_of(f)->put == NULL)
			k.bad = 1;
		else
			coder_of(f)->put(&k, c, f);
	}
	coder_put_number(&k, PASS_END);
	if (!k.bad)
		return (ssize_t)k.pos;
	errno = EINVAL;
	return -1;
}

/* Defaults, but no name of a user or a file that the role was not told. */
static void
forget_names(struct config *c)
{
	struct account_ids none = { .uid = (uid_t)-1, .gid = (gid_t)-1 };

	c->worker_user = c->queue_user = c->relay_user = none;
	c->resolver_user = c->key_user = c->command_user = none;
	c->tls_certificate[0] = c->tls_key[0] = '\0';
	c->mailbox_path[0] = c->aliases[0] = c->run_dir[0] = '\0';
	c->spool_dir[0] = c->libexec_dir[0] = '\0';
	c->pam_service[0] = c->pam_confdir[0] = '\0';
}

int
config_decode(const uint8_t *buf, size_t len, enum role role,
    struct config *c)
{
	struct coder k = { .in = buf, .size = len };
	const struct config_field *f;
	size_t i;

	config_default_fixed(c);
	forget_names(c);
	if (coder_get_number(&k) != PASS_MAGIC || coder_get_number(&k) != role)
		k.bad = 1;
	for (i = 0; i < config_field_count && !k.bad; i++) {
		f = &config_fields[i];
		if ((f->roles & TO(role)) == 0)
			continue;
		if (coder_get_number(&k) != i || coder_of(f)->get == NULL)
			k.bad = 1;
		else
			coder_of(f)->get(&k, c, f);
	}
	if (coder_get_number(&k) != PASS_END || k.pos != k.size)
		k.bad = 1;
	if (!k.bad)
		return 0;
	errno = EBADMSG;
	return -1;
}

/* All of it, or -1. */
static int
write_all(int fd, const uint8_t *buf, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, buf, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

int
config_send(const struct config *c, enum role role)
{
	uint8_t *buf;
	ssize_t len;
	int fd, saved;

	if ((buf = malloc(CONFIG_PASS_MAX)) == NULL)
		return -1;
	len = config_encode(c, role, buf, CONFIG_PASS_MAX);
	fd = len == -1 ? -1 :
	    memfd_create("configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd != -1 && (write_all(fd, buf, (size_t)len) == -1 ||
	    fcntl(fd, F_ADD_SEALS, SEALS) == -1)) {
		saved = errno;
		close(fd);
		fd = -1;
		errno = saved;
	}
	/* A secret may have been in it. */
	freezero(buf, CONFIG_PASS_MAX);
	return fd;
}

/* What is no memfd has no seals: -1, every bit of which is set. */
static int
is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals != -1 && (seals & SEALS) == SEALS;
}

int
config_receive(int memfd, enum role role, struct config *c)
{
	struct stat st;
	uint8_t *buf;
	ssize_t n;
	int result;

	/* What is sealed can't change between this and any later look. */
	if (!is_sealed(memfd) || fstat(memfd, &st) == -1 ||
	    st.st_size <= 0 || st.st_size > CONFIG_PASS_MAX) {
		errno = EBADMSG;
		return -1;
	}
	if ((buf = malloc((size_t)st.st_size)) == NULL)
		return -1;
	n = pread(memfd, buf, (size_t)st.st_size, 0);
	if (n == st.st_size)
		result = config_decode(buf, (size_t)n, role, c);
	else {
		errno = EBADMSG;
		result = -1;
	}
	freezero(buf, (size_t)st.st_size);
	return result;
}
