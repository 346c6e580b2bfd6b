/* LINK: smtpd/aliases smtpd/idna smtpd/aliases_file smtpd/aliases_index smtpd/domain_map smtpd/name_index smtpd/address_key smtpd/expand smtpd/groups smtpd/aliases_include smtpd/account smtpd/address smtpd/xtext smtpd/spool_read smtpd/spool smtpd/envelope privsep/config privsep/log privsep/message wire/utf8 */
/*
 * The domain map and the recipients of relay domains: grammar, mistakes, what
 * an address comes to, and that an index gives the same answers.
 */
#include "names_home.h"

static struct aliases_file map, aliases;

static int
setup(void **state)
{
	(void)state;
	config_default_fixed(&config);
	strcpy(config.domains[0], "here.example");
	config.domain_count = 1;
	config.recipient_delimiter = '+';
	memset(&map, 0, sizeof(map));
	map.dir = map.held = map.index_dir = map.index = -1;
	map.kind = NAMES_DOMAIN_MAP;
	map.state = ALIASES_GOOD;
	map.config = &config;
	map.path = "map";
	map.report = report;
	aliases = map;
	aliases.kind = NAMES_ALIASES;
	aliases.path = "aliases";
	reports = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	aliases_close(&map);
	aliases_close(&aliases);
	expand_free(&x);
	return 0;
}

static void
parse(struct aliases_file *file, const char *text)
{
	size_t len = strlen(text);
	char *copy = malloc(len > 0 ? len : 1);

	memcpy(copy, text, len);
	aliases_free(&file->aliases);
	reports = 0;
	assert_int_equal(aliases_parse_as(&file->aliases, file->kind, copy,
	    len, file->path, &config, report), 0);
	free(copy);
}

/* What the map says of an address: its targets, or a word in capitals. */
static const char *
mapped(const char *local, const char *domain)
{
	static const char *const words[] = {
		[MAP_OTHER] = "OTHER", [MAP_UNKNOWN] = "UNKNOWN",
		[MAP_FAILED] = "FAILED"
	};
	static char text[1024];
	const struct aliases *in;
	const struct alias *entry;
	enum map_answer answer;
	size_t i;

	answer = domain_map_find(&map, local, domain, &entry, &in);
	if (answer != MAP_FOUND)
		return words[answer];
	if (entry->is_bad)
		return "BAD";
	text[0] = '\0';
	for (i = 0; i < entry->count; i++) {
		strlcat(text, i > 0 ? " " : "", sizeof(text));
		strlcat(text, aliases_target(in, entry, i)->text,
		    sizeof(text));
	}
	return text;
}

static void
grammar(void **state)
{
	(void)state;
	parse(&map, "# map\n"
	    "info@Virt.example\talice, Bob@else.example\n"
	    "Sales@virt.example\n  carol,\n\tdave\n"
	    "\"a b\"@virt.example  erin\r\n"
	    "\"plain\"@virt.example frank\n"
	    "x+y@virt.example gina\n"
	    "@all.example   harry\n"
	    "some@all.example /dev/null\n"
	    "j@m\303\274ller.example  ida\n"
	    "\303\266@virt.example  jo");
	assert_int_equal(reports, 0);
	assert_string_equal(mapped("info", "virt.example"),
	    "alice Bob@else.example");
	assert_string_equal(mapped("INFO", "VIRT.example"),
	    "alice Bob@else.example");
	assert_string_equal(mapped("sales", "virt.example"), "carol dave");
	assert_string_equal(mapped("a b", "virt.example"), "erin");
	assert_string_equal(mapped("plain", "virt.example"), "frank");
	assert_string_equal(mapped("x+y", "virt.example"), "gina");
	assert_string_equal(mapped("x", "virt.example"), "UNKNOWN");
	assert_string_equal(mapped("info+x", "virt.example"),
	    "alice Bob@else.example");
	assert_string_equal(mapped("any", "all.example"), "harry");
	assert_string_equal(mapped("some", "all.example"), "/dev/null");
	assert_string_equal(mapped("some+x", "all.example"), "/dev/null");
	assert_string_equal(mapped("j", "xn--mller-kva.example"), "ida");
	assert_string_equal(mapped("j", "M\303\274ller.example"), "ida");
	assert_string_equal(mapped("\303\266", "virt.example"), "jo");
	assert_string_equal(mapped("j", "other.example"), "OTHER");
	assert_string_equal(mapped("j", "example"), "OTHER");
	assert_string_equal(mapped("j", ""), "OTHER");
	config.recipient_delimiter = '\0';
	assert_string_equal(mapped("info+x", "virt.example"), "UNKNOWN");
	map.state = ALIASES_REFUSED;
	assert_string_equal(mapped("j", "other.example"), "FAILED");
}

/* One costs its line only, and what can be known of it is. */
static void
mistakes(void **state)
{
	static const struct {
		const char	*text, *word;
	} lines[] = {
		{ "a@virt.example\n", "BAD" },
		{ "a@virt.example  |x y\n", "BAD" },
		{ "a@virt.example  bob, :group:\n", "BAD" },
		{ "a@virt.example  bob\na@Virt.example carol\n", "bob" },
		{ "a  bob\n", "OTHER" },
		{ "a@virt.example: bob\n", "OTHER" },
		{ "a@b@virt.example bob\n", "OTHER" },
		{ "@ bob\n", "OTHER" },
		{ "\"a@virt.example bob\n", "OTHER" },
		{ "a@virt.\304 bob\n", "OTHER" },
	};
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		snprintf(text, sizeof(text), "%sgood@good.example  dave\n",
		    lines[i].text);
		parse(&map, text);
		assert_int_equal(reports, 1);
		assert_string_equal(mapped("a", "virt.example"),
		    lines[i].word);
		assert_string_equal(mapped("good", "good.example"), "dave");
	}
}

static void
run(const char *local, const char *domain, const char *account)
{
	const struct recipient r = {
		.local = local, .domain = domain, .account = account,
		.orcpt = ""
	};
	const struct expand_names names = {
		.aliases = &aliases, .map = &map
	};

	expand(&names, &r, &x);
}

static void
reaches(const char *local, const char *domain, const char *want)
{
	char got[256] = "";
	size_t i;

	run(local, domain, "");
	assert_int_equal(x.trouble, 0);
	for (i = 0; i < x.count; i++) {
		strlcat(got, i > 0 ? " " : "", sizeof(got));
		strlcat(got, x.targets[i].text, sizeof(got));
	}
	assert_string_equal(got, want);
}

static void
expansions(void **state)
{
	(void)state;
	parse(&aliases, "team: alice, info@virt.example, bob\n"
	    "root: alice\nmine: info\n");
	parse(&map, "info@virt.example  bob, carol@else.example\n"
	    "sales@virt.example  info@virt.example, dave, team\n"
	    "one@here.example  erin\n"
	    "mine@here.example  mine, frank\n"
	    "@all.example  x@virt.example\n"
	    "loop@virt.example  loop@virt.example\n"
	    "bad@virt.example  \n");
	reaches("info", "virt.example", "bob carol@else.example");
	reaches("sales", "VIRT.example",
	    "dave bob carol@else.example alice");
	/* A domain of accounts: mapped first, and then as ever. */
	reaches("one", "here.example", "erin");
	reaches("two", "here.example", "two");
	reaches("team", "here.example", "alice bob carol@else.example");
	reaches("mine", "here.example", "frank info");
	/* Nobody falls through to an account of that name. */
	run("alice", "virt.example", "");
	assert_int_equal(x.trouble, OUTCOME_FAILED);
	assert_string_equal(x.status, "5.1.1");
	assert_int_equal(x.count, 0);
	run("any", "all.example", "");
	assert_int_equal(x.trouble, OUTCOME_FAILED);
	reaches("Postmaster", "virt.example", "alice");
	run("loop", "virt.example", "");
	assert_int_equal(x.trouble, OUTCOME_DEFERRED);
	run("bad", "virt.example", "");
	assert_int_equal(x.trouble, OUTCOME_DEFERRED);
	/* Without a map it is not known whose they are: they wait. */
	map.state = ALIASES_REFUSED;
	run("info", "virt.example", "");
	assert_int_equal(x.trouble, OUTCOME_DEFERRED);
	assert_string_equal(x.status, "4.3.5");
	run("x", "else.example", "");
	assert_int_equal(x.trouble, OUTCOME_DEFERRED);
	reaches("two", "here.example", "two");
	reaches("mine", "here.example", "info");
}

/* What was read stays in force while the file can't be. */
static void
on_disk(void **state)
{
	char dir[] = "/tmp/test_domain_map.XXXXXX";

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(config.domain_map, sizeof(config.domain_map), "%s/map", dir);
	aliases_open_as(&map, NAMES_DOMAIN_MAP, &config, report);
	aliases_refresh(&map);
	aliases_refresh(&map);
	/* One that is configured must be there. */
	assert_int_equal(map.state, ALIASES_REFUSED);
	assert_int_equal(reports, 1);
	put(config.domain_map, "a@virt.example  bob\n", 0644);
	aliases_refresh(&map);
	assert_string_equal(mapped("a", "virt.example"), "bob");
	put(config.domain_map, "a@virt.example  mallory\n", 0666);
	aliases_refresh(&map);
	aliases_refresh(&map);
	assert_string_equal(mapped("a", "virt.example"), "bob");
	assert_int_equal(reports, 2);
	assert_int_equal(unlink(config.domain_map), 0);
	aliases_refresh(&map);
	assert_string_equal(mapped("a", "virt.example"), "bob");
	put(config.domain_map, "a@virt.example  carol\n", 0644);
	aliases_refresh(&map);
	assert_string_equal(mapped("a", "virt.example"), "carol");
	put(config.domain_map, "", 0644);
	aliases_refresh(&map);
	assert_string_equal(mapped("a", "virt.example"), "OTHER");
	assert_int_equal(reports, 2);
	aliases_close(&map);
	/* A directory that is not there, and no map at all. */
	assert_int_equal(unlink(config.domain_map) | rmdir(dir), 0);
	aliases_open_as(&map, NAMES_DOMAIN_MAP, &config, report);
	assert_string_equal(mapped("a", "virt.example"), "FAILED");
	config.domain_map[0] = '\0';
	aliases_open_as(&map, NAMES_DOMAIN_MAP, &config, report);
	aliases_hold(&map);
	aliases_refresh(&map);
	assert_string_equal(mapped("a", "virt.example"), "OTHER");
	assert_int_equal(reports, 3);
}

#define MANY	3000

static void
put_many(const char *path)
{
	FILE *f = fopen(path, "w");
	int i;

	assert_non_null(f);
	for (i = 0; i < MANY; i++)
		fprintf(f, "user%d@virt%d.example\tt%d\n", i, i % 50, i);
	fputs("@all.example last\n", f);
	fclose(f);
	assert_int_equal(chmod(path, 0644), 0);
}

/* Every name, and some that are not there. */
static void
answers(void)
{
	char local[32], domain[32], want[32];
	int i;

	for (i = 0; i < MANY; i++) {
		snprintf(local, sizeof(local), "User%d+x", i);
		snprintf(domain, sizeof(domain), "virt%d.example", i % 50);
		snprintf(want, sizeof(want), "t%d", i);
		assert_string_equal(mapped(local, domain), want);
		snprintf(domain, sizeof(domain), "virt%d.example",
		    (i + 1) % 50);
		assert_string_equal(mapped(local, domain), "UNKNOWN");
	}
	assert_string_equal(mapped("x", "virt50.example"), "OTHER");
	assert_string_equal(mapped("x", "ALL.example"), "last");
	assert_string_equal(mapped("x", "example"), "OTHER");
	assert_string_equal(mapped("@virt1", "example"), "OTHER");
}

static void
begin_session(int dir)
{
	aliases_close(&map);
	aliases_open_as(&map, NAMES_DOMAIN_MAP, &config, aliases_ignore);
	aliases_hold(&map);
	aliases_index_open(&map, dir);
	aliases_refresh(&map);
}

static void
session(int dir, int is_indexed)
{
	begin_session(dir);
	assert_int_equal(map.is_indexed, is_indexed);
	answers();
	/* None of all these has made it read the whole. */
	assert_int_equal(map.is_indexed, is_indexed);
}

/* One octet of it (C23): whoever meets that reads all of the file. */
static void
damaged(int dir, const char *path, off_t at)
{
	flip_octet(path, at);
	begin_session(dir);
	answers();
	assert_int_equal(map.is_indexed, 0);
	flip_octet(path, at);
}

static void
indexed(void **state)
{
	char dir[] = "/tmp/test_domain_map.XXXXXX", path[64];
	struct stat st;
	off_t at;
	int d;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(config.domain_map, sizeof(config.domain_map), "%s/map", dir);
	snprintf(path, sizeof(path), "%s/domain-map.index", dir);
	d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put_many(config.domain_map);
	session(d, 0);
	aliases_close(&map);
	aliases_open_as(&map, NAMES_DOMAIN_MAP, &config, aliases_ignore);
	map.index_dir = d;
	aliases_refresh(&map);
	session(d, 1);
	assert_int_equal(stat(path, &st), 0);
	for (at = 0; at < st.st_size; at += 512 * 16 + 13)
		damaged(d, path, at);
	/* So it is with one that is cut off. */
	begin_session(d);
	assert_int_equal(map.is_indexed, 1);
	assert_int_equal(truncate(path, 700), 0);
	answers();
	assert_int_equal(map.is_indexed, 0);
	assert_int_equal(truncate(path, 0), 0);
	session(d, 0);
	assert_int_equal(unlink(path) | unlink(config.domain_map), 0);
	assert_int_equal(close(d) | rmdir(dir), 0);
}

/* The file without targets. */
static void
recipients(void **state)
{
	const struct aliases *in;

	(void)state;
	map.kind = NAMES_RECIPIENTS;
	parse(&map, "# all\nBob@x.example # Bob\n  carol@x.example\r\n"
	    "@All.example#all\n\"d\"@x.example\n\n");
	assert_int_equal(reports, 0);
	assert_non_null(aliases_lookup(&map, "bob@x.example", &in));
	assert_non_null(aliases_lookup(&map, "carol@x.example", &in));
	assert_non_null(aliases_lookup(&map, "d@x.example", &in));
	assert_non_null(aliases_lookup(&map, "@all.example", &in));
	assert_null(aliases_lookup(&map, "@x.example", &in));
	parse(&map, "a@x.example b@x.example\nno address\n"
	    "c@x.example\n @x\n");
	assert_int_equal(reports, 2);
	assert_int_equal(last_line, 2);
	assert_null(aliases_lookup(&map, "b@x.example", &in));
	assert_non_null(aliases_lookup(&map, "c@x.example", &in));
	assert_non_null(aliases_lookup(&map, "@x", &in));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(grammar), TEST(mistakes), TEST(expansions),
		TEST(on_disk), TEST(indexed), TEST(recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
