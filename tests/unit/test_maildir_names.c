/* LINK: MAILBOX */
/* LIBS: -lmd -lbsd */
/*
 * test_maildir_names: what the names of a Maildir's files say, in which order
 * they are listed, and the UIDLs that come of them; however many there are.
 */
#include "maildir_home.h"

static void
test_names(void **state)
{
	static const struct {
		const char	*name;
		uint64_t	 seconds, size, octets;
		size_t		 unique, base;
	} t[] = {
		{ "17.Q1.h,S=10,W=12:2,S", 17, 10, 12, 7, 17 },
		{ "17.M1.h:2,S=3,W=4", 17, UINT64_MAX, UINT64_MAX, 7, 7 },
		{ "x,W=5", 0, UINT64_MAX, UINT64_MAX, 1, 5 },
		{ "9.M1.x,S=5,W=6", 9, UINT64_MAX, UINT64_MAX, 6, 14 },
		{ "9.Q1.x,W=5", 9, UINT64_MAX, 5, 6, 10 },
		{ "1.Q1.x,S=5,W=4", 1, UINT64_MAX, UINT64_MAX, 6, 14 },
		{ "1.Q1.x,S=5,W=15", 1, UINT64_MAX, UINT64_MAX, 6, 15 },
		{ "1.Q1.x,W=05", 1, UINT64_MAX, UINT64_MAX, 6, 11 },
		{ "1.Q1.x,W=-5", 1, UINT64_MAX, UINT64_MAX, 6, 11 },
		{ "1.Q1.x,W=5x", 1, UINT64_MAX, UINT64_MAX, 6, 11 },
		{ "1.Q1.x,W=", 1, UINT64_MAX, UINT64_MAX, 6, 9 },
		{ "1.Q1.x,W=5,W=5", 1, UINT64_MAX, UINT64_MAX, 6, 14 },
		{ "1.Q1.x,W=1234567890123456789", 1, UINT64_MAX, UINT64_MAX, 6,
		    28 },
		{ "99999999999999999999.a", UINT64_MAX, UINT64_MAX,
		    UINT64_MAX, 22, 22 },
		{ ":2,S", 0, UINT64_MAX, UINT64_MAX, 2, 4 },
		{ ",S=1", 0, UINT64_MAX, UINT64_MAX, 0, 4 },
	};
	struct maildir_name n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		maildir_name_parse(t[i].name, &n);
		assert_int_equal(n.seconds, t[i].seconds);
		assert_int_equal(n.size, t[i].size);
		assert_int_equal(n.octets, t[i].octets);
		assert_int_equal(n.unique_len, t[i].unique);
		assert_int_equal(n.base_len, t[i].base);
	}
}

static void
test_order(void **state)
{
	static const char *const names[] = {
		"Maildir/cur/9.b:2,S", "Maildir/new/10.a", "Maildir/new/9.a",
		"Maildir/cur/100.z:2,", "Maildir/cur/9.ab:2,", "Maildir/new/q",
		"Maildir/new/.hidden", "Maildir/cur/9.a-b:2,RS",
	};
	static const char *const order[] = {
		"q", "9.a", "9.a-b", "9.ab", "9.b", "10.a", "100.z"
	};
	size_t i;

	(void)state;
	make_maildir();
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put(names[i], "a\n");
	reopen();
	assert_int_equal(ops->count(box), 7);
	for (i = 0; i < 7; i++)
		assert_string_equal(uidl(i), order[i]);
	assert_null(ops->message(box, 7));
}

/* Many, so that memory grows; the order of a disordered reading. */
static void
test_many(void **state)
{
	char name[64], last[UIDL_MAX] = "";
	int i;

	(void)state;
	make_maildir();
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "Maildir/%s,S=2,W=3%s",
		    i % 2 ? "cur/" : "new/", "");
		snprintf(name, sizeof(name), "Maildir/%s%06d.x,S=2,W=3",
		    i % 2 ? "cur/" : "new/", (i * 7919) % 3000 + 100000);
		put(name, "a\n");
	}
	reopen();
	assert_int_equal(ops->count(box), 3000);
	for (i = 0; i < 3000; i++) {
		assert_true(strcmp(last, uidl((size_t)i)) < 0);
		strlcpy(last, uidl((size_t)i), sizeof(last));
		assert_int_equal(ops->message(box, (size_t)i)->octets, 5);
	}
}

/* A hundred thousand, all of them links to few files; half are removed. */
#define CROWDED	100000

static void
test_huge(void **state)
{
	static uint8_t bitmap[CROWDED / 8];
	char name[64], file[16];
	size_t failed;
	int i;

	(void)state;
	make_maildir();
	for (i = 0; i < CROWDED; i++) {
		snprintf(file, sizeof(file), "file-%d", i / 10000);
		if (i % 10000 == 0)
			put(file, "a\n");
		snprintf(name, sizeof(name), "Maildir/%s/%d.Q%d.x,S=2,W=5%s",
		    i % 3 ? "cur" : "new", 100000 + (i * 7919) % CROWDED, i,
		    i % 3 ? ":2,S" : "");
		assert_int_equal(linkat(home, file, home, name, 0), 0);
	}
	reopen();
	assert_int_equal(ops->count(box), CROWDED);
	for (i = 0; i < CROWDED; i++)
		assert_int_equal(atoi(uidl((size_t)i)), 100000 + i);
	assert_content(CROWDED - 1, "a\n");
	memset(bitmap, 0x55, sizeof(bitmap));
	assert_int_equal(ops->expunge(box, bitmap, &failed), 0);
	reopen();
	assert_int_equal(ops->count(box), CROWDED / 2);
	for (i = 0; i < CROWDED / 2; i++)
		assert_int_equal(atoi(uidl((size_t)i)), 100001 + 2 * i);
}

static void
test_uidl_stays(void **state)
{
	char before[UIDL_MAX];

	(void)state;
	make_maildir();
	put("Maildir/new/5.M1P2.host,S=2,W=3", "a\n");
	put("Maildir/new/6.odd name", "a\n");
	reopen();
	assert_string_equal(uidl(0), "5.M1P2.host");
	assert_int_equal(strlen(uidl(1)), 64);
	strlcpy(before, uidl(1), sizeof(before));

	move("Maildir/new/5.M1P2.host,S=2,W=3",
	    "Maildir/cur/5.M1P2.host,S=2,W=3:2,S");
	move("Maildir/new/6.odd name", "Maildir/cur/6.odd name:2,");
	reopen();
	assert_string_equal(uidl(0), "5.M1P2.host");
	assert_string_equal(uidl(1), before);

	move("Maildir/cur/5.M1P2.host,S=2,W=3:2,S",
	    "Maildir/cur/5.M1P2.host:2,FRS");
	reopen();
	assert_string_equal(uidl(0), "5.M1P2.host");
	assert_int_equal(ops->message(box, 0)->octets, 5);
}

static void
test_uidl_hashed(void **state)
{
	char name[200], a[UIDL_MAX], b[UIDL_MAX];
	struct maildir_name n;

	(void)state;
	memset(name, 'x', 70);
	name[70] = '\0';
	maildir_name_parse(name, &n);
	maildir_name_uidl(name, n.unique_len, n.base_len, 0, a);
	assert_string_equal(a, name);
	name[70] = 'y';
	name[71] = '\0';
	maildir_name_parse(name, &n);
	maildir_name_uidl(name, n.unique_len, n.base_len, 0, a);
	assert_int_equal(strlen(a), 64);
	name[70] = 'z';
	maildir_name_uidl(name, n.unique_len, n.base_len, 0, b);
	assert_string_not_equal(a, b);
	maildir_name_uidl("\xc3\xa9", 2, 2, 0, a);
	assert_int_equal(strlen(a), 64);
}

static void
test_uidl_twins(void **state)
{
	char a[UIDL_MAX], b[UIDL_MAX];

	(void)state;
	make_maildir();
	put("Maildir/new/5.same,S=2", "a\n");
	put("Maildir/new/5.same,S=4", "a\nb\n");
	put("Maildir/new/6.other", "a\n");
	/* As seen when it is moved while the folders are read: one message. */
	put("Maildir/new/7.moving", "a\n");
	put("Maildir/cur/7.moving:2,S", "a\n");
	reopen();
	assert_int_equal(ops->count(box), 4);
	strlcpy(a, uidl(0), sizeof(a));
	strlcpy(b, uidl(1), sizeof(b));
	assert_int_equal(strlen(a), 64);
	assert_string_not_equal(a, b);
	assert_string_equal(uidl(2), "6.other");
	assert_string_equal(uidl(3), "7.moving");
	/* Each is found again for itself. */
	move("Maildir/new/5.same,S=2", "Maildir/cur/5.same,S=2:2,");
	move("Maildir/new/5.same,S=4", "Maildir/cur/5.same,S=4:2,S");
	assert_content(0, "a\n");
	assert_content(1, "a\nb\n");
}

/* Seconds of this processor to find so many twins again; the best of three. */
static double
refresh_twins(int count)
{
	struct timespec begun, ended;
	double seconds, best = 0;
	char name[80];
	int i;

	make_maildir();
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name),
		    "Maildir/new/5.Qsame.h,S=0,W=0,x=%d", i);
		put(name, "");
	}
	reopen();
	assert_int_equal(ops->count(box), count);
	for (i = 0; i < 3; i++) {
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
		assert_int_equal(maildir_index_refresh(box, NULL), 0);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
		seconds = (double)(ended.tv_sec - begun.tv_sec) +
		    (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
		if (i == 0 || seconds < best)
			best = seconds;
	}
	for (i = 0; i < count; i++)
		assert_int_equal(box->index.entries[i].flags & ENTRY_GONE, 0);
	return best;
}

/* C15: a user can make as many as there is room for. */
static void
test_many_twins(void **state)
{
	double few, many;

	(void)state;
	few = refresh_twins(2000);
	many = refresh_twins(16000);
	print_message("twins: 2000 in %.1f ms, 16000 in %.1f ms\n", few * 1e3,
	    many * 1e3);
	assert_true(many < few * 24 + 0.01);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), TEST(test_order),
		TEST(test_many), TEST(test_huge), TEST(test_uidl_stays),
		cmocka_unit_test(test_uidl_hashed), TEST(test_uidl_twins),
		TEST(test_many_twins),
	};

	return cmocka_run_group_tests_name("test_maildir_names", tests, NULL,
	    NULL);
}
