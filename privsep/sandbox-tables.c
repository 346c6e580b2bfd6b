/*
 * sandbox-tables: which system calls each kind of process may make.
 *
 * Runs in every role at its start, before it confines itself; touches
 * nothing.  Two kinds of table: allow-lists, where anything else kills the
 * process, and deny-lists for the rooms where PAM and NSS modules of the host
 * run, whose needs we can't know.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>

#include "log.h"
#include "sandbox-tables.h"

#define OPTIONS_MAX	127	/* of a socket, at each level */

/* What no process of a mail server ever does; every room is without it. */
static const int denied[] = {
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
	SCMP_SYS(fspick),
	SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen),
	SCMP_SYS(fsmount), SCMP_SYS(fsconfig), SCMP_SYS(mount_setattr),
	SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(swapon),
	SCMP_SYS(swapoff), SCMP_SYS(reboot), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(init_module),
	SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register), SCMP_SYS(add_key), SCMP_SYS(acct),
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime), SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname), SCMP_SYS(syslog), SCMP_SYS(quotactl),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(iopl),
	SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(fanotify_init),
	SCMP_SYS(lookup_dcookie), SCMP_SYS(personality),
	SCMP_SYS(keyctl), SCMP_SYS(request_key),
	SCMP_SYS(name_to_handle_at),
};

/*
 * What reaches other processes of the same user, and what would silence a
 * socket that it shares with them.
 */
static const int reaching[] = {
	SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(tgkill),
	SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo),
	SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(setpriority), SCMP_SYS(sched_setaffinity),
	SCMP_SYS(sched_setscheduler), SCMP_SYS(sched_setparam),
	SCMP_SYS(sched_setattr), SCMP_SYS(ioprio_set), SCMP_SYS(chroot),
	SCMP_SYS(shutdown),
};

static const int nodes[] = {
	SCMP_SYS(mknod), SCMP_SYS(mknodat),
};

static const int running[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat),
};

/* What a worker needs to talk, think and end. */
static const int talking[] = {
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write),
	SCMP_SYS(writev), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg), SCMP_SYS(sendto),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(close),
	SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
	SCMP_SYS(time), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
	SCMP_SYS(futex), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(lseek), SCMP_SYS(fstat),
};

/* What the spawner needs besides, to fork, confine and reap workers. */
static const int spawning[] = {
	SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(wait4),
	SCMP_SYS(waitid), SCMP_SYS(kill), SCMP_SYS(tgkill),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigpending),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(set_tid_address), SCMP_SYS(rseq), SCMP_SYS(getppid),
	SCMP_SYS(seccomp), SCMP_SYS(getrlimit), SCMP_SYS(setrlimit),
	SCMP_SYS(prlimit64), SCMP_SYS(prctl), SCMP_SYS(close_range),
	SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(sigaltstack),
	SCMP_SYS(getuid), SCMP_SYS(setitimer),
};

/* What the signer needs besides: many sessions at once, and its end. */
static const int waiting[] = {
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
};

/*
 * What the queue needs besides, to reach other hosts, and the resolver to
 * reach name servers; which sockets they may have is said below.
 */
static const int connecting[] = {
	SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(getsockopt),
	SCMP_SYS(getsockname), SCMP_SYS(getpeername),
};

/* What libunbound and an event loop ask for besides. */
static const int resolving[] = {
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_create), SCMP_SYS(pselect6),
	SCMP_SYS(select), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg),
	SCMP_SYS(rt_sigaction), SCMP_SYS(clock_getres), SCMP_SYS(sysinfo),
	SCMP_SYS(pipe2), SCMP_SYS(getuid), SCMP_SYS(geteuid),
};

/* What a mailbox agent and the queue need: files below a descriptor. */
static const int filing[] = {
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2),
	SCMP_SYS(newfstatat), SCMP_SYS(stat), SCMP_SYS(lstat),
	SCMP_SYS(statx), SCMP_SYS(fstatfs), SCMP_SYS(getdents64),
	SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(link),
	SCMP_SYS(linkat), SCMP_SYS(rename), SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate), SCMP_SYS(pwrite64),
	SCMP_SYS(flock), SCMP_SYS(copy_file_range), SCMP_SYS(sendfile),
	SCMP_SYS(splice), SCMP_SYS(fallocate), SCMP_SYS(fadvise64),
	SCMP_SYS(memfd_create), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
	SCMP_SYS(getegid), SCMP_SYS(umask), SCMP_SYS(utimensat),
	SCMP_SYS(fchmod), SCMP_SYS(dup), SCMP_SYS(pipe2),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(rt_sigaction),
	SCMP_SYS(sysinfo), SCMP_SYS(getcwd),
};

/* What a companion needs to make a file, see it and remove it. */
static const int making[] = {
	SCMP_SYS(unlinkat), SCMP_SYS(newfstatat), SCMP_SYS(utimensat),
	SCMP_SYS(umask),
};

/*
 * The loose table of sanitizer builds, whose runtime opens, maps and signals
 * at will: never shipped.
 */
#ifdef POSTERN_SANITIZE
#define IS_LOOSE	1
#else
#define IS_LOOSE	0
#endif

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* Which argument of clone(2) has its flags. */
#ifdef __s390__
#define CLONE_FLAGS	1
#else
#define CLONE_FLAGS	0
#endif

static void
rule(scmp_filter_ctx ctx, uint32_t action, int call)
{
	/* A call that this machine's architecture lacks can't be made. */
	if (call < 0)
		return;
	if (seccomp_rule_add(ctx, action, call, 0) != 0)
		bug("seccomp rule for system call %d", call);
}

static void
rules(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		rule(ctx, action, calls[i]);
}

static void
rule_compare(scmp_filter_ctx ctx, uint32_t action, int call,
    struct scmp_arg_cmp compare)
{
	if (call < 0)
		return;
	if (seccomp_rule_add_array(ctx, action, call, 1, &compare) != 0)
		bug("seccomp rule for system call %d", call);
}

/* Sockets of this family and type, in whatever way they wait. */
static void
allow_socket(scmp_filter_ctx ctx, int family, int type)
{
	if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
	    SCMP_CMP64(0, SCMP_CMP_EQ, (uint64_t)family, 0),
	    SCMP_CMP64(1, SCMP_CMP_MASKED_EQ,
	    ~(uint64_t)(SOCK_NONBLOCK | SOCK_CLOEXEC), (uint64_t)type)) != 0)
		bug("seccomp rule for socket");
}

static scmp_filter_ctx
table_begin(uint32_t otherwise, uint16_t mark)
{
	scmp_filter_ctx ctx = seccomp_init(otherwise);

	if (ctx == NULL ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0) != 0 ||
	    /* a binary tree: fewer steps per call than a list of 60 */
	    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0)
		bug("seccomp_init");
	rule_compare(ctx, SCMP_ACT_ERRNO(mark), SCMP_SYS(getcpu),
	    SCMP_CMP64(2, SCMP_CMP_EQ, SANDBOX_PROBE, 0));
	return ctx;
}

/* Memory may be had, but never to run code from. */
static void
allow_data_memory(scmp_filter_ctx ctx)
{
	rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap),
	    SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect),
	    SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/*
 * A fork into namespaces of its own is what unshare(2) does: with a user's
 * come all capabilities there, and ways into the kernel that need them.
 */
static const uint64_t namespaces[] = {
	CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
	CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET,
};

/* clone3(2) hides its flags; whoever is without it takes clone(2). */
static void
deny_namespaces(scmp_filter_ctx ctx)
{
	size_t i;

	rule(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
	for (i = 0; i < COUNT(namespaces); i++)
		rule_compare(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone),
		    SCMP_CMP64(CLONE_FLAGS, SCMP_CMP_MASKED_EQ, namespaces[i],
		    namespaces[i]));
}

static void
allow_forks(scmp_filter_ctx ctx)
{
	uint64_t all = 0;
	size_t i;

	rule(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
	for (i = 0; i < COUNT(namespaces); i++)
		all |= namespaces[i];
	rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone),
	    SCMP_CMP64(CLONE_FLAGS, SCMP_CMP_MASKED_EQ, all, 0));
}

/* fcntl() that makes the kernel send a signal, to whomever it is told. */
static const uint64_t signalling[] = {
	F_SETOWN, F_SETSIG, F_SETOWN_EX,
};

/* Not the limits of another process of the same user. */
static void
allow_own_limits(scmp_filter_ctx ctx)
{
	rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64),
	    SCMP_CMP64(0, SCMP_CMP_EQ, 0, 0));
}

static void
allow_file_control(scmp_filter_ctx ctx)
{
	static const uint64_t commands[] = {
		F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL,
		F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK,
		F_OFD_SETLKW, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS,
		F_GET_SEALS,
	};
	size_t i;

	for (i = 0; i < COUNT(commands); i++)
		rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl),
		    SCMP_CMP64(1, SCMP_CMP_EQ, commands[i], 0));
}

/*
 * All options of a socket but SO_LINGER: whoever has the last descriptor of
 * such a socket waits when he closes it, and the master, which closes what it
 * is sent without having asked for it, must not wait for anybody.
 */
static void
allow_connecting(scmp_filter_ctx ctx)
{
	uint64_t option;

	rules(ctx, SCMP_ACT_ALLOW, connecting, COUNT(connecting));
	for (option = 1; option <= OPTIONS_MAX; option++)
		if (option != SO_LINGER)
			rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt),
			    SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, UINT32_MAX,
			    option));
}

static void
allow_resolving(scmp_filter_ctx ctx)
{
	static const uint64_t commands[] = {
		F_GETFD, F_SETFD, F_GETFL, F_SETFL,
	};
	static const int families[] = { AF_INET, AF_INET6 };
	size_t i;

	rules(ctx, SCMP_ACT_ALLOW, waiting, COUNT(waiting));
	allow_connecting(ctx);
	rules(ctx, SCMP_ACT_ALLOW, resolving, COUNT(resolving));
	for (i = 0; i < COUNT(families); i++) {
		allow_socket(ctx, families[i], SOCK_DGRAM);
		allow_socket(ctx, families[i], SOCK_STREAM);
	}
	for (i = 0; i < COUNT(commands); i++)
		rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl),
		    SCMP_CMP64(1, SCMP_CMP_EQ, commands[i], 0));
	rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl),
	    SCMP_CMP64(1, SCMP_CMP_EQ, FIONBIO, 0));
	rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat),
	    SCMP_CMP64(3, SCMP_CMP_EQ, AT_EMPTY_PATH, 0));
	allow_own_limits(ctx);
}

static scmp_filter_ctx
allow_list(enum sandbox_table which, uint16_t mark)
{
	scmp_filter_ctx ctx = table_begin(SCMP_ACT_KILL_PROCESS, mark);

	rules(ctx, SCMP_ACT_ALLOW, talking, COUNT(talking));
	allow_data_memory(ctx);
	if (which == SANDBOX_WORKER || which == SANDBOX_RELAY) {
		rule(ctx, SCMP_ACT_ALLOW, SCMP_SYS(shutdown));
		/* fstat(fd) as glibc makes it: no path */
		rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat),
		    SCMP_CMP64(3, SCMP_CMP_EQ, AT_EMPTY_PATH, 0));
		return ctx;
	}
	if (which == SANDBOX_COMPANION) {
		rules(ctx, SCMP_ACT_ALLOW, making, COUNT(making));
		/* only what is not there yet, so nobody's mail */
		rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat),
		    SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, O_CREAT | O_EXCL,
		    O_CREAT | O_EXCL));
		return ctx;
	}
	if (which == SANDBOX_SIGNER) {
		rules(ctx, SCMP_ACT_ALLOW, waiting, COUNT(waiting));
		/* O_NONBLOCK, for each session's socket */
		rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl),
		    SCMP_CMP64(1, SCMP_CMP_EQ, F_SETFL, 0));
		return ctx;
	}
	if (which == SANDBOX_SPAWNER || which == SANDBOX_RELAY_SPAWNER) {
		rule(ctx, SCMP_ACT_ALLOW, SCMP_SYS(shutdown));
		rules(ctx, SCMP_ACT_ALLOW, spawning, COUNT(spawning));
		rule(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat));
		rule_compare(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair),
		    SCMP_CMP64(0, SCMP_CMP_EQ, AF_UNIX, 0));
		allow_forks(ctx);
		return ctx;
	}
	if (which == SANDBOX_RESOLVER) {
		allow_resolving(ctx);
		return ctx;
	}
	rules(ctx, SCMP_ACT_ALLOW, filing, COUNT(filing));
	allow_own_limits(ctx);
	allow_file_control(ctx);
	if (which == SANDBOX_QUEUE) {
		rule(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setitimer));
		allow_connecting(ctx);
		allow_socket(ctx, AF_INET, SOCK_STREAM);
		allow_socket(ctx, AF_INET6, SOCK_STREAM);
		allow_socket(ctx, AF_UNIX, SOCK_STREAM);
	}
	return ctx;
}

/* Users' programs make a FIFO now and then; a device nobody does. */
static void
deny_devices(scmp_filter_ctx ctx)
{
	static const uint64_t kinds[] = { S_IFCHR, S_IFBLK };
	size_t i;

	for (i = 0; i < COUNT(kinds); i++) {
		rule_compare(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mknod),
		    SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, S_IFMT, kinds[i]));
		rule_compare(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mknodat),
		    SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, S_IFMT, kinds[i]));
	}
}

static scmp_filter_ctx
deny_list(enum sandbox_table which, uint16_t mark)
{
	scmp_filter_ctx ctx = table_begin(SCMP_ACT_ALLOW, mark);
	size_t i;

	rules(ctx, SCMP_ACT_ERRNO(EPERM), denied, COUNT(denied));
	deny_namespaces(ctx);
	if (which == SANDBOX_MASTER || which == SANDBOX_PROGRAMS) {
		deny_devices(ctx);
		return ctx;
	}
	rules(ctx, SCMP_ACT_ERRNO(EPERM), nodes, COUNT(nodes));
	if (which == SANDBOX_LOGIN)
		return ctx;
	rules(ctx, SCMP_ACT_ERRNO(EPERM), running, COUNT(running));
	/*
	 * NSS modules ask daemons of this host over AF_UNIX, nothing else.
	 * "Greater" and not a list of others: the kernel looks at 32 bits of
	 * the argument, the filter at 64.
	 */
	rule_compare(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket),
	    SCMP_CMP64(0, SCMP_CMP_GT, AF_UNIX, 0));
	if (which == SANDBOX_AGENTS)
		return ctx;
	rules(ctx, SCMP_ACT_ERRNO(EPERM), reaching, COUNT(reaching));
	rule_compare(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64),
	    SCMP_CMP64(0, SCMP_CMP_NE, 0, 0));
	for (i = 0; i < COUNT(signalling); i++)
		rule_compare(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl),
		    SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, UINT32_MAX,
		    signalling[i]));
	return ctx;
}

scmp_filter_ctx
sandbox_table_build(enum sandbox_table which, uint16_t mark)
{
	if (IS_LOOSE)
		which = SANDBOX_MASTER;
	switch (which) {
	case SANDBOX_SPAWNER:
	case SANDBOX_WORKER:
	case SANDBOX_SIGNER:
	case SANDBOX_COMPANION:
	case SANDBOX_MAILBOX:
	case SANDBOX_QUEUE:
	case SANDBOX_RELAY_SPAWNER:
	case SANDBOX_RELAY:
	case SANDBOX_RESOLVER:
		return allow_list(which, mark);
	case SANDBOX_MASTER:
	case SANDBOX_LOGIN:
	case SANDBOX_AGENTS:
	case SANDBOX_SPOOL:
	case SANDBOX_PROGRAMS:
		return deny_list(which, mark);
	}
	bug("no such sandbox table");
}
