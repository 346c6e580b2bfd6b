/*
 * files: have PAM, NSS or resolver files changed?
 *
 * Runs in the master, as root; stats files, opens directories only.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "master.h"

#define DIRECTORY_MAX	256	/* entries looked at */

static const char *const watched[] = {
	"/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/hosts",
	"/etc/ld.so.cache", "/etc/localtime",
};

static uint64_t
mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * UINT64_C(0x100000001b3);
}

static uint64_t
mix_stat(uint64_t h, const struct stat *st)
{
	h = mix(h, (uint64_t)st->st_ino);
	h = mix(h, (uint64_t)st->st_size);
	h = mix(h, (uint64_t)st->st_mtim.tv_sec);
	return mix(h, (uint64_t)st->st_mtim.tv_nsec);
}

static uint64_t
mix_directory(uint64_t h, const char *path)
{
	struct dirent *d;
	struct stat st;
	uint64_t sum = 0;
	DIR *dir = opendir(path);
	int n = 0;

	if (dir == NULL)
		return h;
	/* A sum: the order of entries is not a change. */
	while (n++ < DIRECTORY_MAX && (d = readdir(dir)) != NULL)
		/* What else happens in /etc is no reason. */
		if (strcmp(d->d_name, "..") != 0 &&
		    fstatat(dirfd(dir), d->d_name, &st, 0) == 0)
			sum += mix_stat(0, &st);
	closedir(dir);
	return mix(h, sum);
}

static uint64_t
fingerprint(const struct config *config)
{
	uint64_t h = 1;
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		if (stat(watched[i], &st) == 0)
			h = mix_stat(h, &st);
	return mix_directory(h, config->pam_confdir[0] != '\0' ?
	    config->pam_confdir : "/etc/pam.d");
}

int
files_changed(const struct config *config)
{
	static uint64_t last;
	static time_t looked;
	uint64_t now;

	if (last != 0 && master.now == looked)
		return 0;
	looked = master.now;
	now = fingerprint(config);
	if (last == 0 || now == last) {
		last = now;
		return 0;
	}
	last = now;
	return 1;
}
