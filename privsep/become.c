/*
 * become: losing privilege, for good and with proof.
 *
 * Runs in every role at its start, as root until it no longer is; touches
 * its own credentials, limits and root directory.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "become.h"
#include "log.h"

static void
capabilities_get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	if (syscall(SYS_capget, &hdr, data) == -1)
		fatal("capget");
}

static void
capabilities_set(uint64_t mask)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	memset(data, 0, sizeof(data));
	data[0].effective = data[0].permitted = (uint32_t)mask;
	data[1].effective = data[1].permitted = (uint32_t)(mask >> 32);
	if (syscall(SYS_capset, &hdr, data) == -1)
		fatal("capset");
}

static void
prove_user(uid_t uid, gid_t gid)
{
	struct __user_cap_data_struct caps[2];
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (getresuid(&r, &e, &s) == -1 || getresgid(&rg, &eg, &sg) == -1)
		fatal("getresuid");
	if (r != uid || e != uid || s != uid || rg != gid || eg != gid ||
	    sg != gid || getgroups(0, NULL) != 0)
		bug("ids are not those asked for");
	if (setresuid((uid_t)-1, 0, (uid_t)-1) != -1 ||
	    setuid(0) != -1 || (gid != 0 && setgid(0) != -1) ||
	    setgroups(0, NULL) != -1)
		bug("privilege could be regained");
	capabilities_get(caps);
	if (caps[0].permitted != 0 || caps[1].permitted != 0 ||
	    caps[0].effective != 0 || caps[1].effective != 0 ||
	    caps[0].inheritable != 0 || caps[1].inheritable != 0)
		bug("capabilities are left");
}

static void
set_ids(uid_t uid, gid_t gid)
{
	if (uid == 0 || gid == 0)
		bug("asked to become uid or gid 0");
	if (setgroups(0, NULL) == -1)
		fatal("setgroups");
	if (setresgid(gid, gid, gid) == -1)
		fatal("setresgid");
	if (setresuid(uid, uid, uid) == -1)
		fatal("setresuid");
}

void
become_for_exec(uid_t uid, gid_t gid, int capability)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (prctl(PR_SET_KEEPCAPS, capability != -1, 0, 0, 0) == -1)
		fatal("PR_SET_KEEPCAPS");
	set_ids(uid, gid);
	if (capability == -1)
		return;
	memset(data, 0, sizeof(data));
	data[capability / 32].permitted = data[capability / 32].effective =
	    data[capability / 32].inheritable = 1U << capability % 32;
	if (syscall(SYS_capset, &hdr, data) == -1 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == -1)
		fatal("keeping capability %d", capability);
}

void
become_user(uid_t uid, gid_t gid)
{
	if (geteuid() != 0 && getuid() == uid && getgid() == gid) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0,
		    0) == -1)
			fatal("ambient capabilities");
		capabilities_set(0);
	} else
		set_ids(uid, gid);
	prove_user(uid, gid);
}

void
become_limited(uint64_t capabilities)
{
	struct __user_cap_data_struct data[2];
	uint64_t have;
	int cap;

	/* What the host withheld (a container, say) can't be asked for. */
	capabilities_get(data);
	have = data[0].permitted | (uint64_t)data[1].permitted << 32;
	capabilities &= have;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		fatal("ambient capabilities");
	/*
	 * Root regains its bounding set at the next exec, so what must not
	 * come back is taken out of that as well; without SETPCAP it is too
	 * late for that, and then it must have been done before.
	 */
	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if ((capabilities & CAP_BIT(cap)) != 0 ||
		    prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			fatal("dropping capability %d", cap);
	}
	capabilities_set(capabilities);
	capabilities_get(data);
	if ((data[0].permitted | (uint64_t)data[1].permitted << 32) !=
	    capabilities)
		bug("capabilities are not those asked for");
}

void
become_enclosed(const char *empty_dir)
{
	struct dirent *d;
	struct stat st;
	DIR *dir;
	int fd;

	fd = open(empty_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1 || (dir = fdopendir(fd)) == NULL)
		fatal("%s", empty_dir);
	if (st.st_uid != 0 || (st.st_mode & 022) != 0)
		bug("%s must be root's and writable by nobody else", empty_dir);
	while ((d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			bug("%s is not empty", empty_dir);
	if (fchdir(fd) == -1 || chroot(".") == -1 || chdir("/") == -1)
		fatal("chroot to %s", empty_dir);
	closedir(dir);
	if (access("/proc", F_OK) != -1 || access("/etc", F_OK) != -1)
		bug("chroot to %s did not take effect", empty_dir);
}

void
become_sealed(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		fatal("PR_SET_DUMPABLE");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		fatal("PR_SET_NO_NEW_PRIVS");
}

void
become_bounded(int resource, uint64_t limit)
{
	struct rlimit rl, now;

	if (getrlimit(resource, &rl) == -1)
		fatal("getrlimit");
	if (rl.rlim_max > limit)
		rl.rlim_max = limit;
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(resource, &rl) == -1 || getrlimit(resource, &now) == -1)
		fatal("setrlimit");
	if (now.rlim_max > limit || now.rlim_cur > limit)
		bug("limit %d did not take effect", resource);
}

void
become_bound_to(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		fatal("PR_SET_PDEATHSIG");
	if (getppid() != parent)
		_exit(0);
}
