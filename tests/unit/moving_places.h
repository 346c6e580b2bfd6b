/*
 * moving_places: two attackers on a mailbox: the user herself, and another
 * user of the directory that it is in.  See test_moving_places.c.
 */
#ifndef TESTS_UNIT_MOVING_PLACES_H
#define TESTS_UNIT_MOVING_PLACES_H

#include <sys/stat.h>

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seen by all processes. */
static struct {
	int	is_over;
	size_t	moves[2];	/* of each attacker */
	size_t	deferred;	/* tries that failed */
	size_t	sessions;	/* that were opened */
	size_t	collected;
	size_t	removed;
	uint8_t	seen[];		/* letter n was collected */
} *shared;

static uid_t victim, other;
static char top[128];
static const char *const *targets;	/* below top, of the user's attack */
static unsigned seed;

static int
dice(int n)
{
	return (int)((unsigned)rand_r(&seed) % (unsigned)n);
}

static void
nap(int most_us)
{
	usleep((useconds_t)dice(most_us));
}

static void
become(uid_t uid)
{
	if (getuid() != uid && (setresgid(uid, uid, uid) == -1 ||
	    setresuid(uid, uid, uid) == -1))
		_exit(100);
	if (chdir(top) == -1)
		_exit(101);
}

static const char *const canaries[] = {
	"canary/open", "canary/file", "canary/none", "canary/dir",
	"canary/dir/none", "home/own/file", "home/own/none", "home/own",
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
put_odd(const char *path)
{
	char target[256];
	int fd;

	snprintf(target, sizeof(target), "%s/%s", top,
	    canaries[dice(COUNT(canaries))]);
	switch (dice(9)) {
	case 0:
	case 1:
	case 2:
		(void)!symlink(target, path);
		break;
	case 3:
		(void)!link(target, path);
		break;
	case 4:
		(void)mkfifo(path, 0666);
		break;
	case 5:
		(void)mkdir(path, dice(2) ? 0777 : 0700);
		break;
	case 6:
	case 7:
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
		if (fd != -1)
			close(fd);
		break;
	case 8:
		(void)!symlink(path, path);
		break;
	}
}

static void
aside_name(const char *path, char aside[256])
{
	static int count;

	/* In the same directory, where a sticky bit lets nobody take it. */
	snprintf(aside, 256, "%s.%d.%d", path, getpid(), count++);
}

/* What is there goes away for a moment, something odd stands there. */
static void
swap(const char *path)
{
	char away[256], odd[256];
	int has_moved;

	aside_name(path, away);
	aside_name(path, odd);
	has_moved = rename(path, away) == 0;
	put_odd(path);
	nap(1500);
	(void)!rename(path, odd);	/* perhaps by now a mailbox again */
	/* A lock that comes back when its owner has gone is nobody's. */
	if (has_moved && strstr(path, ".lock") == NULL)
		(void)!renameat2(AT_FDCWD, away, AT_FDCWD, path,
		    RENAME_NOREPLACE);
}

static void
change_mode(const char *path)
{
	static const mode_t modes[] = { 0666, 0777, 0, 0400, 01777 };
	struct stat st;

	if (lstat(path, &st) == -1 || S_ISLNK(st.st_mode))
		return;
	(void)chmod(path, modes[dice(COUNT(modes))]);
	nap(500);
	(void)chmod(path, S_ISDIR(st.st_mode) ? 0700 : 0600);
}

static void
second_name(const char *path)
{
	char name[256];

	aside_name(path, name);
	if (link(path, name) == 0) {
		nap(1000);
		unlink(name);
	}
}

/* Go where the target is, by a way that no link leads astray; its name. */
static const char *
go_to(const char *target)
{
	const char *name = strrchr(target, '/') + 1;
	char parent[64];
	struct stat st;
	int fd, r = -1;

	strlcpy(parent, target, (size_t)(name - target));
	if (chdir(top) == -1)
		_exit(101);
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd == -1)
		return NULL;
	if (fstat(fd, &st) == 0 && (other == victim || st.st_uid != other))
		r = fchdir(fd);
	close(fd);
	return r == 0 ? name : NULL;
}

static void
attack_as_owner(void)
{
	const char *path;
	size_t n;

	become(victim);
	umask(0);
	for (n = 0; targets[n] != NULL; n++)
		continue;
	while (!shared->is_over) {
		path = go_to(targets[dice((int)n)]);
		if (path == NULL)
			continue;
		switch (dice(6)) {
		case 0:
			change_mode(path);
			break;
		case 1:
			second_name(path);
			break;
		default:
			swap(path);
		}
		shared->moves[0]++;
		nap(700);
	}
}

/* Another user can take names that are free, no more. */
static void
attack_as_other(void)
{
	static const char *const names[] = {
		"spool/victim.lock", "spool/victim", "spool/victim",
	};
	const char *path;
	struct stat st;

	become(other);
	umask(0);
	while (!shared->is_over && other != victim) {
		path = names[dice(COUNT(names))];
		put_odd(path);
		nap(1000);
		/* Also what the user has put there of ours, and can't move. */
		if (lstat(path, &st) == 0 && st.st_uid == other) {
			if (unlink(path) == -1)
				(void)rmdir(path);
			shared->moves[1]++;
		}
		nap(300);
	}
}

#endif
