/*
 * keyring: certificates and keys out of the sealed memfd that the master
 * filled.
 *
 * Runs in the spawner and in the signer, as their users, before they confine
 * themselves; touches the memfd that they were given.  What comes is strict:
 * one octet more or less, a length out of bounds, a memfd that somebody could
 * still change, and it is no keyring.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "keyring.h"
#include "keyring_layout.h"

/* Errors are sticky, and looked at once, at the end. */
struct reader {
	const uint8_t	*octets;
	size_t		 pos, len;
	int		 bad;
};

/* The next n octets, or NULL and the reader is bad. */
static const uint8_t *
get_octets(struct reader *r, size_t n)
{
	const uint8_t *p;

	if (r->bad || n > r->len - r->pos) {
		r->bad = 1;
		return NULL;
	}
	p = r->octets + r->pos;
	r->pos += n;
	return p;
}

static uint32_t
get_number(struct reader *r)
{
	const uint8_t *p = get_octets(r, 4);

	if (p == NULL)
		return 0;
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

static uint32_t
get_at_most(struct reader *r, uint32_t max)
{
	uint32_t v = get_number(r);

	if (v <= max)
		return v;
	r->bad = 1;
	return 0;
}

static void
get_text(struct reader *r, char *dst, size_t size)
{
	size_t len = get_at_most(r, (uint32_t)size - 1);
	const uint8_t *p = get_octets(r, len);

	dst[0] = '\0';
	if (p == NULL)
		return;
	if (memchr(p, '\0', len) != NULL) {
		r->bad = 1;
		return;
	}
	memcpy(dst, p, len);
	dst[len] = '\0';
}

static void
get_pair(struct reader *r, struct keyring_pair *pair, int is_first,
    int has_keys)
{
	get_text(r, pair->name, sizeof(pair->name));
	get_text(r, pair->chain_file, sizeof(pair->chain_file));
	get_text(r, pair->key_file, sizeof(pair->key_file));
	pair->chain_len = get_at_most(r, KEYRING_PEM_MAX);
	pair->key_len = get_at_most(r, KEYRING_PEM_MAX);
	/* The first is for clients that name no host, and it alone. */
	if ((pair->name[0] == '\0') != is_first || pair->chain_len == 0 ||
	    pair->chain_file[0] == '\0' || (pair->key_len != 0) != has_keys ||
	    (pair->key_file[0] != '\0') != has_keys)
		r->bad = 1;
}

int
keyring_decode(const uint8_t *octets, size_t len, struct keyring *ring)
{
	struct reader r = { .octets = octets, .len = len };
	struct keyring_pair *pair;
	int has_keys;
	size_t i;

	memset(ring, 0, sizeof(*ring));
	if (get_number(&r) != KEYRING_MAGIC)
		r.bad = 1;
	has_keys = (int)get_at_most(&r, 1);
	ring->count = get_at_most(&r, KEYRING_MAX);
	if (ring->count == 0)
		r.bad = 1;
	for (i = 0; i < ring->count && !r.bad; i++)
		get_pair(&r, &ring->pairs[i], i == 0, has_keys);
	if (get_number(&r) != KEYRING_END)
		r.bad = 1;
	for (i = 0; i < ring->count && !r.bad; i++) {
		pair = &ring->pairs[i];
		pair->chain = (const char *)get_octets(&r, pair->chain_len);
		if (has_keys)
			pair->key = (const char *)get_octets(&r,
			    pair->key_len);
	}
	if (!r.bad && r.pos == r.len)
		return 0;
	memset(ring, 0, sizeof(*ring));
	errno = EBADMSG;
	return -1;
}

/* What is no memfd has no seals: -1, every bit of which is set. */
static int
is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals != -1 && (seals & KEYRING_SEALS) == KEYRING_SEALS;
}

/* Of a memfd that nobody can change, and so not behind our back either. */
static void *
map_sealed(int memfd, size_t *len)
{
	struct stat st;
	void *map;

	if (!is_sealed(memfd) ||
	    fstat(memfd, &st) == -1 || st.st_size <= 0 ||
	    st.st_size > (off_t)KEYRING_FILE_MAX) {
		errno = EBADMSG;
		return NULL;
	}
	*len = (size_t)st.st_size;
	map = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, memfd, 0);
	return map != MAP_FAILED ? map : NULL;
}

int
keyring_receive(int memfd, struct keyring *ring)
{
	size_t len = 0;
	void *map;
	int saved;

	memset(ring, 0, sizeof(*ring));
	map = map_sealed(memfd, &len);
	saved = errno;
	close(memfd);
	if (map == NULL) {
		errno = saved;
		return -1;
	}
	if (keyring_decode(map, len, ring) == -1) {
		munmap(map, len);
		errno = EBADMSG;
		return -1;
	}
	ring->map = map;
	ring->map_len = len;
	return 0;
}

void
keyring_forget(struct keyring *ring)
{
	if (ring->map != NULL)
		munmap(ring->map, ring->map_len);
	memset(ring, 0, sizeof(*ring));
}
