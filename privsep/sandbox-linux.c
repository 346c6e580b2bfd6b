/*
 * sandbox: Landlock and seccomp.
 *
 * Runs in every role at its start and in each fork before its first request,
 * as whoever that is.  The system-call tables are in sandbox-tables.c.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sandbox.h"
#include "sandbox-tables.h"

/*
 * Debian 12's headers know Landlock's first version; the running kernel says
 * what it knows.  Values from the kernel's include/uapi/linux/landlock.h.
 */
#define FS_REFER	(UINT64_C(1) << 13)	/* version 2 */
#define FS_TRUNCATE	(UINT64_C(1) << 14)	/* 3 */
#define FS_IOCTL_DEV	(UINT64_C(1) << 15)	/* 5 */
#define FS_FIRST	((UINT64_C(1) << 13) - 1)
#define FS_OF_FILE	(LANDLOCK_ACCESS_FS_READ_FILE | \
			    LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define NET_BIND	UINT64_C(1)		/* 4: TCP */
#define NET_CONNECT	UINT64_C(2)
#define RULE_NET_PORT	2
#define SCOPE_BOTH	UINT64_C(3)		/* 6: abstract sockets, signals */

struct ruleset {
	uint64_t	fs;
	uint64_t	net;
	uint64_t	scoped;
};

struct net_port {
	uint64_t	allowed;
	uint64_t	port;		/* host order; 0: of the kernel's choice */
};

static int
landlock_version(void)
{
	long v;

	v = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (v < 1)
		fatal("Landlock is not available");
	return (int)v;
}

static uint64_t
landlock_rights(unsigned use, uint64_t handled)
{
	uint64_t rights = 0;

	if ((use & (ROOM_READ | ROOM_CHANGE)) != 0)
		rights |= LANDLOCK_ACCESS_FS_READ_FILE |
		    LANDLOCK_ACCESS_FS_READ_DIR;
	if ((use & ROOM_CHANGE) != 0)
		rights |= LANDLOCK_ACCESS_FS_WRITE_FILE |
		    LANDLOCK_ACCESS_FS_MAKE_REG |
		    LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_REFER | FS_TRUNCATE;
	if ((use & ROOM_MAKE) != 0)
		rights |= LANDLOCK_ACCESS_FS_WRITE_FILE |
		    LANDLOCK_ACCESS_FS_MAKE_REG |
		    LANDLOCK_ACCESS_FS_REMOVE_FILE;
	return rights & handled;
}

static void
landlock_allow(int ruleset, const struct sandbox_place *place,
    uint64_t handled)
{
	struct landlock_path_beneath_attr attr;
	struct stat st;

	if (fstat(place->fd, &st) == -1)
		fatal("a place to be allowed");
	memset(&attr, 0, sizeof(attr));
	attr.parent_fd = place->fd;
	attr.allowed_access = landlock_rights(place->use, handled);
	if (!S_ISDIR(st.st_mode))
		attr.allowed_access &= FS_OF_FILE;
	if (syscall(SYS_landlock_add_rule, ruleset,
	    LANDLOCK_RULE_PATH_BENEATH, &attr, 0) == -1)
		fatal("landlock_add_rule");
}

/* A connection of ours comes from a port that the kernel chooses. */
static void
landlock_allow_any_port(int ruleset)
{
	const struct net_port attr = { .allowed = NET_BIND, .port = 0 };

	if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &attr,
	    0) == -1)
		fatal("landlock_add_rule");
}

static void
landlock(const struct sandbox_place *places, size_t count, int is_client)
{
	struct ruleset attr = { .fs = FS_FIRST };
	size_t i, size = sizeof(attr.fs);
	int fd, version = landlock_version();

	if (version >= 2)
		attr.fs |= FS_REFER;
	if (version >= 3)
		attr.fs |= FS_TRUNCATE;
	if (version >= 4) {
		attr.net = is_client ? NET_BIND : NET_BIND | NET_CONNECT;
		size = offsetof(struct ruleset, scoped);
	}
	if (version >= 5)
		attr.fs |= FS_IOCTL_DEV;
	if (version >= 6) {
		attr.scoped = SCOPE_BOTH;
		size = sizeof(attr);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd == -1)
		fatal("landlock_create_ruleset");
	for (i = 0; i < count; i++)
		landlock_allow(fd, &places[i], attr.fs);
	if (is_client && version >= 4)
		landlock_allow_any_port(fd);
	if (syscall(SYS_landlock_restrict_self, fd, 0) == -1)
		fatal("landlock_restrict_self");
	close(fd);
	/* The proof: the root directory of whatever root can't be listed. */
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1 || errno != EACCES)
		bug("Landlock did not take effect");
}

void
sandbox_landlock(const struct sandbox_place *places, size_t count)
{
	landlock(places, count, 0);
}

void
sandbox_landlock_client(const struct sandbox_place *places, size_t count)
{
	landlock(places, count, 1);
}

/* The library writes a program to a descriptor only: by way of a memfd. */
static void
filter_export(scmp_filter_ctx ctx, struct sandbox_filter *filter)
{
	off_t size;
	int fd;

	fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd == -1 || seccomp_export_bpf(ctx, fd) != 0)
		fatal("exporting a seccomp filter");
	size = lseek(fd, 0, SEEK_END);
	if (size <= 0 || size > 32768)
		bug("seccomp filter of %lld octets", (long long)size);
	filter->code = malloc((size_t)size);
	if (filter->code == NULL ||
	    pread(fd, filter->code, (size_t)size, 0) != size)
		fatal("reading a seccomp filter");
	filter->len = (uint16_t)((size_t)size / sizeof(struct sock_filter));
	close(fd);
}

void
sandbox_compile(enum sandbox_table which, struct sandbox_filter *filter)
{
	scmp_filter_ctx ctx;

	filter->mark = (uint16_t)(SANDBOX_MARK + (unsigned)which);
	ctx = sandbox_table_build(which, filter->mark);
	filter_export(ctx, filter);
	seccomp_release(ctx);
}

void
sandbox_install(const struct sandbox_filter *filter)
{
	struct sock_fprog prog = {
		.len = filter->len,
		.filter = filter->code,
	};
	long r;

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == -1)
		fatal("seccomp");
	/* The proof: a call that does nothing answers with this table's mark. */
	r = syscall(SYS_getcpu, NULL, NULL, SANDBOX_PROBE);
	if (r != -1 || errno != filter->mark)
		bug("the seccomp filter did not take effect");
}
