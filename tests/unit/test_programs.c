/* LINK: MAILBOX smtpd/programs smtpd/program_find smtpd/program_run smtpd/program_feed smtpd/program_exec smtpd/program_environment smtpd/program_file smtpd/program_verdict smtpd/program smtpd/deliver_request smtpd/forward smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/name_index smtpd/address_key smtpd/idna smtpd/account smtpd/address wire/utf8 privsep/config privsep/config_route privsep/gates privsep/message privsep/log */
/*
 * test_programs: what a command is, what its end means, what it is told, and
 * an agent that may run some, asked as a queue asks that was taken over.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/config_table.h"
#include "smtpd/programs.h"

#define SOME_USER	12345	/* when root runs this */
#define LARGE		(512 * 1024)	/* octets: in no pipe */

static struct config config;
static struct agent agent;
static struct program_words w;

void
agent_confine(const struct agent *a, enum agent_room room,
    const int *directories, size_t count)
{
	(void)a;
	(void)room;
	(void)directories;
	(void)count;
}

static void
assert_words(const char *text, size_t count, ...)
{
	va_list ap;
	size_t i;

	assert_null(program_split(text, &w));
	assert_int_equal(w.count, count);
	va_start(ap, count);
	for (i = 0; i < count; i++)
		assert_string_equal(w.words[i], va_arg(ap, const char *));
	va_end(ap);
	assert_null(w.words[count]);
}

static void
assert_refused(const char *text, const char *why)
{
	const char *wrong = program_split(text, &w);

	assert_non_null(wrong);
	assert_non_null(strstr(wrong, why));
}

static void
words(void **state)
{
	char text[PROGRAM_TEXT_MAX + 8];
	size_t i;

	(void)state;
	assert_words("/bin/cat", 1, "/bin/cat");
	assert_words("  /bin/cat\t-x  ", 2, "/bin/cat", "-x");
	assert_words("/a \"b c\" \"\" d\"e f\"g", 4, "/a", "b c", "", "de fg");
	assert_words("/a \"$(x) | > & ; '\" *?~{}#!\\", 3, "/a",
	    "$(x) | > & ; '", "*?~{}#!\\");
	assert_words("\"/a b\"", 1, "/a b");
	assert_refused("", "absolute");
	assert_refused("  ", "absolute");
	assert_refused("cat", "absolute");
	assert_refused("\"\" /bin/cat", "absolute");
	assert_refused("/bin/cat \"x", "quote");
	for (i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "/bin/cat x%c", "|&;<>()$`'"[i]);
		assert_refused(text, "shell");
	}
	assert_refused("/bin/cat \n", "control");
	assert_refused("/bin/cat \"\177\"", "control");
	memset(text, 'x', sizeof(text));
	text[0] = '/';
	text[PROGRAM_TEXT_MAX] = '\0';
	assert_refused(text, "long");
	text[PROGRAM_TEXT_MAX - 1] = '\0';
	assert_null(program_split(text, &w));
	strcpy(text, "/x");
	for (i = 0; i < PROGRAM_WORDS_MAX - 1; i++)
		strcat(text, " y");
	assert_null(program_split(text, &w));
	assert_int_equal(w.count, PROGRAM_WORDS_MAX);
	strcat(text, " y");
	assert_refused(text, "arguments");
	assert_null(program_check("/a/b"));
	assert_null(program_check("/a/b/"));
	assert_null(program_check("|/a/b c"));
	assert_non_null(program_check("/"));
	assert_non_null(program_check("///"));
	assert_non_null(program_check("|a"));
	assert_non_null(program_check("/a\nb"));
}

static void
digests(void **state)
{
	char one[PROGRAM_DIGEST_MAX], two[PROGRAM_DIGEST_MAX];

	(void)state;
	program_digest("|/bin/cat", one);
	/* printf '|/bin/cat' | sha256sum */
	assert_string_equal(one, "de2d1ea6e58b5778406febdf6d281e2e");
	program_digest("|/bin/cat ", two);
	assert_string_not_equal(one, two);
	assert_true(program_is_digest(one) && program_is_digest(two));
	assert_false(program_is_digest(""));
	one[0] = 'G';
	assert_false(program_is_digest(one));
	assert_false(program_is_digest("0123456789abcdef0123456789abcdef0"));
}

static void
assert_end(enum program_end_kind kind, int code, enum delivery_verdict verdict,
    const char *status)
{
	struct program_task t = { .agent = &agent, .text = "|/bin/x" };
	struct program_end end = { .kind = kind, .code = code,
	    .output = "it says so" };
	struct deliver_verdict v;

	program_verdict(&t, &end, &v);
	assert_int_equal(v.verdict, verdict);
	assert_string_equal(v.status, status);
	/* A user's command is quoted to nobody, root's to the sender. */
	assert_null(strstr(v.text, "says"));
	t.is_of_aliases = 1;
	strcpy(t.alias, "x");
	program_verdict(&t, &end, &v);
	assert_int_equal(strstr(v.text, "says") != NULL,
	    verdict != DELIVERED && kind != PROGRAM_ABANDONED);
	strcpy(t.text, "/file");
	program_verdict(&t, &end, &v);
	assert_int_equal(v.verdict, verdict == DELIVERED ? DELIVERED :
	    DELIVERY_DEFERRED);
}

static void
ends(void **state)
{
	int i;

	(void)state;
	assert_end(PROGRAM_EXITED, 0, DELIVERED, "2.0.0");
	assert_end(PROGRAM_EXITED, EX_NOUSER, DELIVERY_FAILED, "5.1.1");
	assert_end(PROGRAM_EXITED, EX_NOPERM, DELIVERY_FAILED, "5.7.0");
	assert_end(PROGRAM_EXITED, EX_TEMPFAIL, DELIVERY_DEFERRED, "4.3.0");
	assert_end(PROGRAM_EXITED, EX_OSERR, DELIVERY_DEFERRED, "4.3.0");
	assert_end(PROGRAM_EXITED, EX_IOERR, DELIVERY_DEFERRED, "4.3.0");
	assert_end(PROGRAM_EXITED, EX_CANTCREAT, DELIVERY_DEFERRED, "4.3.0");
	assert_end(PROGRAM_EXITED, 127, DELIVERY_DEFERRED, "4.3.5");
	for (i = 1; i < EX_USAGE; i++)
		assert_end(PROGRAM_EXITED, i, DELIVERY_FAILED, "5.3.0");
	for (i = EX_CONFIG + 1; i < 126; i++)
		assert_end(PROGRAM_EXITED, i, DELIVERY_FAILED, "5.3.0");
	assert_end(PROGRAM_SIGNALLED, SIGSEGV, DELIVERY_DEFERRED, "4.3.0");
	assert_end(PROGRAM_TIMED_OUT, 0, DELIVERY_FAILED, "5.3.0");
	assert_end(PROGRAM_NOT_RUN, ENOENT, DELIVERY_DEFERRED, "4.3.5");
	assert_end(PROGRAM_ABANDONED, 0, DELIVERY_DEFERRED, "4.3.0");
}

static const char *
variable(const struct program_environment *e, const char *name)
{
	size_t i, len = strlen(name);

	for (i = 0; i < e->count; i++)
		if (strncmp(e->variables[i], name, len) == 0 &&
		    e->variables[i][len] == '=')
			return e->variables[i] + len + 1;
	return NULL;
}

static void
environment(void **state)
{
	static struct program_environment e;
	struct program_task t = { .agent = &agent };

	(void)state;
	strcpy(t.letter.reverse_path, "\"() { :;}; rm\"@x.example");
	strcpy(t.letter.forward_path, "alice+a-b@here.example");
	program_environment_make(&t, &e);
	assert_string_equal(variable(&e, "SENDER"),
	    "______:____rm_@x.example");
	assert_string_equal(variable(&e, "EXTENSION"), "a-b");
	assert_string_equal(variable(&e, "DOMAIN"), "here.example");
	assert_string_equal(variable(&e, "LOCAL"), "alice+a-b");
	assert_null(e.variables[e.count]);
	t.letter.reverse_path[0] = '\0';
	strcpy(t.letter.forward_path, "\"+() { x;}\"@here.example");
	program_environment_make(&t, &e);
	assert_string_equal(variable(&e, "SENDER"), "MAILER-DAEMON");
	assert_null(variable(&e, "EXTENSION"));
	assert_string_equal(variable(&e, "LOCAL"), "+_____x__");
	strcpy(t.letter.forward_path, "gr\303\274n+\303\251\377@x");
	program_environment_make(&t, &e);
	assert_string_equal(variable(&e, "RECIPIENT"), "gr__n+___@x");
	strcpy(t.letter.forward_path, "gr\303\274n+\303\251@x.example");
	program_environment_make(&t, &e);
	assert_string_equal(variable(&e, "EXTENSION"), "\303\251");
}

static int
set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *home = agent.identity.home;

	(void)state;
	config_default_fixed(&config);
	config.command_timeout = 60;
	snprintf(home, sizeof(agent.identity.home), "%s/programs.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(home) == NULL)
		return -1;
	agent.identity.uid = getuid() == 0 ? SOME_USER : getuid();
	if (getuid() == 0 && chown(home, SOME_USER, SOME_USER) == -1)
		return -1;
	strcpy(agent.identity.name, "alice");
	agent.config = &config;
	agent.facts.session = 1;
	return 0;
}

static void
put_file(const char *name, const char *text, int mode)
{
	char path[1200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", agent.identity.home, name);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, (mode_t)mode), 0);
	if (getuid() == 0)
		assert_int_equal(fchown(fd, SOME_USER, SOME_USER), 0);
	close(fd);
}

static int
has_file(const char *name)
{
	char path[1200];

	snprintf(path, sizeof(path), "%s/%s", agent.identity.home, name);
	return access(path, F_OK) == 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { ".forward", "content", "was-run",
	    "saved", "script", "saved.lock" };
	char path[1200];
	size_t i;

	(void)state;
	for (i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), "%s/%s", agent.identity.home,
		    names[i]);
		(void)unlink(path);
	}
	return rmdir(agent.identity.home);
}

/* An agent in a fork, with the queue's end of its channel. */
static pid_t
start(int *queue)
{
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    pair), 0);
	fflush(NULL);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		close(pair[0]);
		if (getuid() == 0 && (setresgid(SOME_USER, SOME_USER,
		    SOME_USER) == -1 || setresuid(SOME_USER, SOME_USER,
		    SOME_USER) == -1))
			_exit(2);
		agent.gate = pair[1];
		agent_program.serve(&agent);
		_exit(0);
	}
	close(pair[1]);
	*queue = pair[0];
	return pid;
}

/* RUN, with these fields, for this letter behind "HEAD". */
static void
send_run(int queue, const char *alias, const char *digest, uint32_t flags,
    const char *letter)
{
	static char text[LARGE + 8];
	char path[1200];
	struct message m;
	int content;

	snprintf(text, sizeof(text), "HEAD%s", letter);
	put_file("content", text, 0600);
	snprintf(path, sizeof(path), "%s/content", agent.identity.home);
	content = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_not_equal(content, -1);
	message_begin(&m, REQ_RUN);
	put_str(&m, "8DpXp6iN9AAalKw6RmrZ");
	put_u64(&m, 1700000000);
	put_str(&m, "bob@else.example");
	put_str(&m, "alice@here.example");
	put_u64(&m, 4);
	put_u64(&m, strlen(letter));
	put_u64(&m, 3);
	put_u32(&m, flags);
	put_str(&m, alias);
	put_str(&m, digest);
	put_fd(&m, content);
	assert_int_equal(message_send(queue, &m), 0);
	close(content);
}

/* What it says to that; -1: it ended instead. */
static int
hear_verdict(int queue)
{
	char status[32], text[VERDICT_TEXT_MAX];
	struct message m;
	int verdict;

	if (message_wait(queue, &m, 0, 60000) != 1)
		return -1;
	assert_int_equal(m.type, REPLY_OF(REQ_DELIVER));
	verdict = (int)get_u32(&m);
	get_str(&m, status, sizeof(status));
	get_str(&m, text, sizeof(text));
	assert_int_equal(get_end(&m), 0);
	return verdict;
}

static void
await_end(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
}

static int
ask_with(const char *alias, const char *digest, uint32_t flags,
    const char *letter)
{
	int queue, verdict;
	pid_t pid = start(&queue);

	send_run(queue, alias, digest, flags, letter);
	verdict = hear_verdict(queue);
	close(queue);
	await_end(pid);
	return verdict;
}

static int
ask(const char *alias, const char *digest, uint32_t flags)
{
	return ask_with(alias, digest, flags, "a: b\n\nc\n");
}

static void
hostile_queue(void **state)
{
	char entry[1400], text[2900], digest[PROGRAM_DIGEST_MAX];
	char other[PROGRAM_DIGEST_MAX];

	(void)state;
	snprintf(entry, sizeof(entry), "|/usr/bin/touch %s/was-run",
	    agent.identity.home);
	program_digest(entry, digest);
	program_digest("|/bin/sh", other);
	/* There is no such file, or nothing of that kind in it. */
	assert_int_equal(ask("", digest, 0), DELIVERY_GONE);
	put_file(".forward", "bob@else.example\n", 0600);
	assert_int_equal(ask("", digest, 0), DELIVERY_GONE);
	snprintf(text, sizeof(text), "\\alice, \"%s\"\n", entry);
	put_file(".forward", text, 0600);
	assert_int_equal(ask("", other, 0), DELIVERY_GONE);
	assert_false(has_file("was-run"));
	/* It may not look elsewhere, nor be asked in another way. */
	assert_int_equal(ask("root", digest, 0), -1);
	assert_int_equal(ask("", entry, 0), -1);
	assert_int_equal(ask("", "", 0), -1);
	assert_int_equal(ask("", digest, 4), -1);
	assert_false(has_file("was-run"));
	/* Others could have written it: as if it were not there (C7). */
	put_file(".forward", text, 0660);
	assert_int_equal(ask("", digest, 0), DELIVERY_GONE);
	assert_false(has_file("was-run"));
	config.forward_commands = 0;
	put_file(".forward", text, 0600);
	assert_int_equal(ask("", digest, 0), DELIVERY_GONE);
	config.forward_commands = 1;
	assert_false(has_file("was-run"));
	/* And what it says is run. */
	assert_int_equal(ask("", digest, DELIVER_TRIED), DELIVERED);
	assert_true(has_file("was-run"));
}

/* Tried again after a crash: what stands at the end is not doubled. */
static void
file_once(void **state)
{
	char entry[1400], digest[PROGRAM_DIGEST_MAX], path[1200];
	struct stat before, after;

	(void)state;
	snprintf(entry, sizeof(entry), "%s/saved", agent.identity.home);
	strlcpy(path, entry, sizeof(path));
	put_file(".forward", entry, 0600);
	program_digest(entry, digest);
	put_file("saved", "an end without a line end", 0600);
	assert_int_equal(ask("", digest, 0), DELIVERED);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(ask("", digest, DELIVER_TRIED), DELIVERED);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(ask("", digest, 0), DELIVERED);
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_size > before.st_size);
}

/* ~/.forward is one command, a script of the user's. */
static void
put_script(const char *text, char digest[PROGRAM_DIGEST_MAX])
{
	char entry[1400], quoted[1410];

	snprintf(entry, sizeof(entry), "|/bin/sh %s/script",
	    agent.identity.home);
	snprintf(quoted, sizeof(quoted), "\"%s\"\n", entry);
	put_file(".forward", quoted, 0600);
	put_file("script", text, 0600);
	program_digest(entry, digest);
}

/* Is the process whose number is in that file a zombie? */
static int
has_ended(const char *name)
{
	char path[1200], text[256];
	long pid = 0;
	FILE *f;
	int r;

	snprintf(path, sizeof(path), "%s/%s", agent.identity.home, name);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	r = fscanf(f, "%ld", &pid);
	fclose(f);
	if (r != 1)
		return 0;
	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 1;
	r = fgets(text, sizeof(text), f) != NULL &&
	    strstr(text, ") Z ") != NULL;
	fclose(f);
	return r;
}

/* What was done in time is done, however late its end is looked at. */
static void
done_in_time(void **state)
{
	char digest[PROGRAM_DIGEST_MAX];
	int queue, status, i;
	time_t begun;
	pid_t pid;

	(void)state;
	config.command_timeout = 1;
	put_script("cd \"$HOME\"\nkill -STOP $PPID\necho $$ >was-run\n",
	    digest);
	begun = time(NULL);
	pid = start(&queue);
	send_run(queue, "", digest, 0, "a: b\n\nc\n");
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	for (i = 0; i < 6000 && (!has_ended("was-run") ||
	    time(NULL) < begun + 3); i++)
		(void)poll(NULL, 0, 10);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(hear_verdict(queue), DELIVERED);
	close(queue);
	await_end(pid);
}

/* Of a letter that can't be read to its end it sees no end. */
static void
half_a_letter(void **state)
{
	static char letter[LARGE];
	char digest[PROGRAM_DIGEST_MAX];

	(void)state;
	memset(letter, 'x', sizeof(letter) - 1);
	put_script("trap '' TERM\ncd \"$HOME\"\n: >content\ncat >/dev/null\n"
	    "echo >was-run\n", digest);
	assert_int_equal(ask_with("", digest, 0, letter), DELIVERY_DEFERRED);
	assert_false(has_file("was-run"));
}

/* The queue ends: a file that is waited for is written all the same. */
static void
file_to_its_end(void **state)
{
	char entry[1400], digest[PROGRAM_DIGEST_MAX], path[1200];
	struct stat st;
	int queue, i;
	pid_t pid;

	(void)state;
	snprintf(entry, sizeof(entry), "%s/saved", agent.identity.home);
	put_file(".forward", entry, 0600);
	program_digest(entry, digest);
	put_file("saved.lock", "", 0600);
	pid = start(&queue);
	send_run(queue, "", digest, 0, "a: b\n\nc\n");
	for (i = 0; i < 6000 && !has_file("saved"); i++)
		(void)poll(NULL, 0, 10);
	close(queue);
	snprintf(path, sizeof(path), "%s/saved.lock", agent.identity.home);
	/* Long enough for it to be heard of. */
	(void)poll(NULL, 0, 200);
	assert_int_equal(unlink(path), 0);
	await_end(pid);
	assert_int_equal(stat(entry, &st), 0);
	assert_true(st.st_size > 0);
	assert_false(has_file("saved.lock"));
}

/* Every request in every state, of every size. */
static void
gates_walk(void **state)
{
	static const struct {
		uint32_t request, states;
		int descriptors;
		size_t min, max;
	} rows[] = {
		{ 0x304, 1 << 0, 1, 90, 823 },
		{ 0x303, 1 << 1, 0, 5, 35 },
		{ 0x302, 0, 0, 1, 0 },
	};
	struct message m;
	size_t i;
	int s, is_allowed;

	(void)state;
	for (i = 0; i < 3; i++)
		for (s = -1; s < 4; s++) {
			message_begin(&m, rows[i].request);
			for (; m.len <= MESSAGE_MAX; m.len++)
				for (m.nfds = 0; m.nfds < 3; m.nfds++) {
					is_allowed = s >= 0 &&
					    (rows[i].states >> s & 1) != 0 &&
					    m.nfds == rows[i].descriptors &&
					    m.len >= rows[i].min &&
					    m.len <= rows[i].max;
					assert_int_equal(gate_find(
					    &program_gates, s, 0, &m) != NULL,
					    is_allowed);
				}
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(digests),
		cmocka_unit_test(ends),
		cmocka_unit_test(environment),
		cmocka_unit_test(gates_walk),
		cmocka_unit_test_setup_teardown(hostile_queue, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(file_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(file_to_its_end, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(done_in_time, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(half_a_letter, set_up,
		    tear_down),
	};

	/* The agent, asked before it has a home of its own. */
	config_default_fixed(&config);
	agent.config = &config;
	strcpy(agent.identity.name, "alice");
	strcpy(agent.identity.home, "/");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
