/* LINK: privsep/login_group privsep/login_account privsep/config */
/*
 * Who is in a Unix group, with an NSS that this test plays: listed members,
 * primary groups, who is no member to us, and what NSS can't tell.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "privsep/config_table.h"
#include "privsep/login.h"
#include "privsep/login_gate.h"
#include "privsep/nss.h"

static struct config config;
static struct passwd accounts[MEMBERS_MAX + 10];
static size_t account_count, at, enumerated;
static char *listed[10];
static char home[] = "/home/x";
static enum nss_status group_status, rest_status;
static int enumeration_error;
static size_t group_size;	/* of its entry */
static size_t lookups;

enum nss_status
nss_find(const char *name, struct passwd *pw, char *buf, size_t size)
{
	size_t i;

	(void)buf;
	(void)size;
	lookups++;
	for (i = 0; i < account_count; i++)
		if (strcmp(accounts[i].pw_name, name) == 0) {
			*pw = accounts[i];
			return NSS_FOUND;
		}
	return rest_status;
}

enum nss_status
nss_find_group(const char *name, struct group *gr, char *buf, size_t size)
{
	assert_string_equal(name, "staff");
	(void)buf;
	if (size < group_size) {
		errno = ERANGE;
		return NSS_FAILED;
	}
	errno = EIO;
	gr->gr_gid = 500;
	gr->gr_mem = listed;
	return group_status;
}

void
setpwent(void)
{
	at = 0;
}

void
endpwent(void)
{
}

int
getpwent_r(struct passwd *pw, char *buf, size_t size, struct passwd **found)
{
	(void)buf;
	(void)size;
	*found = NULL;
	if (at == enumerated)
		return enumeration_error;
	*pw = accounts[at++];
	*found = pw;
	return 0;
}

static void
list(size_t i, const char *name)
{
	listed[i] = strdup(name);
	assert_non_null(listed[i]);
}

static void
add(const char *name, uid_t uid, gid_t gid)
{
	struct passwd *pw = &accounts[account_count++];

	pw->pw_name = strdup(name);
	pw->pw_uid = uid;
	pw->pw_gid = gid;
	pw->pw_dir = home;
	enumerated = account_count;
}

static int
setup(void **state)
{
	(void)state;
	config_default_fixed(&config);
	memset(listed, 0, sizeof(listed));
	group_status = NSS_FOUND;
	rest_status = NSS_UNKNOWN;
	enumeration_error = ENOENT;
	group_size = account_count = lookups = 0;
	add("root", 0, 0);
	return 0;
}

static int
teardown(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 10; i++)
		free(listed[i]);
	while (account_count > 0)
		free(accounts[--account_count].pw_name);
	return 0;
}

static void
is_group(enum account_status want, const char *names)
{
	struct members members;
	char text[256] = "";
	size_t i;

	assert_int_equal(group_members(&config, "staff", &members), want);
	for (i = 0; want == ACCOUNT_OK && i < members.size; i++)
		if (i + 2 < sizeof(text))
			text[i] = members.names[i] == '\0' ? ' ' :
			    members.names[i];
	text[i < sizeof(text) ? i : sizeof(text) - 1] = '\0';
	if (names != NULL)
		assert_string_equal(text, names);
	free(members.names);
}

static void
members(void **state)
{
	(void)state;
	list(0, "listed");
	list(1, "root");
	list(2, "gone");
	list(3, "daemon");
	list(4, "nobody");
	list(5, "listed");
	add("primary", 1000, 500);
	add("other", 1001, 501);
	add("listed", 1002, 502);
	add("daemon", 1, 1);
	add("nobody", 65534, 65534);
	add("system", 999, 500);
	add("primary", 1000, 500);
	is_group(ACCOUNT_OK, "primary listed primary ");
	/* The one that is gone. */
	assert_int_equal(lookups, 1);
	config.login_min_uid = 900;
	is_group(ACCOUNT_OK, "primary listed system primary ");
	free(listed[0]);
	listed[0] = NULL;
	config.login_min_uid = 2000;
	is_group(ACCOUNT_OK, "");
}

/* A directory that names accounts but does not enumerate them. */
static void
not_enumerated(void **state)
{
	(void)state;
	list(0, "far");
	list(1, "near");
	add("near", 1000, 1000);
	add("far", 1001, 1001);
	enumerated = 2;
	is_group(ACCOUNT_OK, "near far ");
	assert_int_equal(lookups, 1);
	listed[0][0] = 'g';
	rest_status = NSS_FAILED;
	is_group(ACCOUNT_TEMPFAIL, NULL);
}

static void
out_of_order(void **state)
{
	(void)state;
	add("primary", 1000, 500);
	enumeration_error = EIO;
	is_group(ACCOUNT_TEMPFAIL, NULL);
	enumeration_error = ENOENT;
	enumerated = 0;
	is_group(ACCOUNT_TEMPFAIL, NULL);
	group_status = NSS_FAILED;
	is_group(ACCOUNT_TEMPFAIL, NULL);
	group_status = NSS_UNKNOWN;
	is_group(ACCOUNT_UNKNOWN, NULL);
}

static void
large(void **state)
{
	char name[16];
	int i;

	(void)state;
	group_size = 1024 * 1024;
	is_group(ACCOUNT_OK, "");
	group_size = SIZE_MAX;
	is_group(ACCOUNT_TEMPFAIL, NULL);
	group_size = 0;
	for (i = 0; i < MEMBERS_MAX; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		add(name, 1000 + (uid_t)i, 500);
	}
	is_group(ACCOUNT_OK, NULL);
	add("one-more", 999999, 500);
	is_group(ACCOUNT_REFUSED, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(members), TEST(not_enumerated), TEST(out_of_order),
		TEST(large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
