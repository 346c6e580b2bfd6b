/* LINK: MAILBOX privsep/gates privsep/message privsep/log */
/* LIBS: -lmd -lbsd */
/*
 * test_mbox_together: deliveries, POP3 sessions and foreign programs on one
 * mbox at once: nothing is lost, nothing comes twice.
 */
#include <poll.h>

#include "mbox_home.h"

#define LOCK	"mbox.lock"

#define SECONDS		5
#define LIVES		5	/* processes */
#define FOREIGN		"From foreign Mon Jan  1 00:00:00 2024\n" \
			"X-Id: %s\n\nf\n\n"

static time_t until;

/* As procmail does: dotlock first, then fcntl; all or nothing. */
static void
foreign_life(const char *name)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[128], id[32];
	int fd, lock, n;

	for (n = 0; time(NULL) < until; n++) {
		while ((lock = openat(home, LOCK, O_WRONLY | O_CREAT | O_EXCL,
		    0444)) == -1)
			(void)poll(NULL, 0, 3);
		(void)!write(lock, "0", 1);
		close(lock);
		fd = openat(home, "mbox", O_WRONLY | O_APPEND | O_CREAT, 0600);
		if (fcntl(fd, F_SETLK, &whole) == -1) {
			close(fd);
			unlinkat(home, LOCK, 0);
			(void)poll(NULL, 0, 3);
			n--;
			continue;
		}
		snprintf(id, sizeof(id), "%s-%d", name, n);
		snprintf(text, sizeof(text), FOREIGN, id);
		if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
			_exit(201);
		close(fd);
		unlinkat(home, LOCK, 0);
		(void)poll(NULL, 0, 5);
	}
	snprintf(text, sizeof(text), "sent-%s", name);
	snprintf(id, sizeof(id), "%d", n);
	put(text, id, strlen(id));
}

static void
deliver_life(const char *name)
{
	char id[32], text[200];
	int n;

	assert_int_equal(enter(1), 0);
	for (n = 0; time(NULL) < until; n++) {
		snprintf(id, sizeof(id), "%sx%d", name, n);
		snprintf(text, sizeof(text), "X-Id: %s-%d\n\nFrom x\n%s", name,
		    n, n % 2 ? "no end" : "end\n");
		snprintf(letter_file, sizeof(letter_file), "spool-%s", name);
		make_letter(id, text, strlen(text));
		while (ops->append(box, &letter) == -1)
			if (errno != EBUSY)
				_exit(errno);
		close(letter.content);
		if (ops->settle(box, id) == -1)
			_exit(203);
	}
	leave();
	snprintf(text, sizeof(text), "sent-%s", name);
	snprintf(id, sizeof(id), "%d", n);
	put(text, id, strlen(id));
}

/* Write down the ids of what was read, and remove it or some of it. */
static int
collect(FILE *log, int all)
{
	uint8_t bitmap[4096] = { 0 };
	uint64_t offset, length;
	size_t i, failed, count;
	char text[200], id[64];
	ssize_t len;
	int fd;

	if (enter(0) == -1 || ops->open(box) == -1)
		return errno == EBUSY ? 0 : -1;
	count = ops->count(box);
	if (count > sizeof(bitmap) * 8)
		return -1;
	for (i = 0; i < count; i++) {
		if (!all && (i * 7 + count) % 3 == 0)
			continue;
		if (ops->fetch(box, i, &fd, &offset, &length) == -1)
			return -1;
		len = pread(fd, text, sizeof(text) - 1, (off_t)offset);
		close(fd);
		text[len > 0 ? len : 0] = '\0';
		if (strstr(text, "X-Id: ") == NULL || sscanf(strstr(text,
		    "X-Id: "), "X-Id: %60s", id) != 1)
			return -1;
		fprintf(log, "%s\n", id);
		bitmap[i / 8] |= (uint8_t)(1U << (i % 8));
	}
	fflush(log);
	return ops->expunge(box, bitmap, &failed);
}

static void
collect_life(FILE *log)
{
	while (time(NULL) < until) {
		if (collect(log, 0) == -1)
			_exit(204);
		leave();
		(void)poll(NULL, 0, 10);
	}
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every id of everybody's, once; the number of them. */
static size_t
check_ids(const char *const *names, size_t count)
{
	struct text log = get("log"), sent;
	char **ids = calloc(log.len + 1, sizeof(*ids)), *p, path[32];
	size_t i, n = 0, want = 0;

	for (p = strtok(log.data, "\n"); p != NULL; p = strtok(NULL, "\n"))
		ids[n++] = p;
	qsort(ids, n, sizeof(*ids), by_text);
	for (i = 1; i < n; i++)
		if (strcmp(ids[i - 1], ids[i]) == 0)
			fail_msg("%s came twice", ids[i]);
	for (i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "sent-%s", names[i]);
		sent = get(path);
		want += (size_t)atol(sent.data);
		print_message("%s: %s; ", names[i], sent.data);
		free(sent.data);
	}
	print_message("%zu in all\n", n);
	assert_int_equal(n, want);
	free(ids);
	free(log.data);
	return n;
}

/* One has failed; others would wait for its locks for ever. */
static void
give_up(const pid_t *pids, size_t failed, int status)
{
	size_t i;

	for (i = failed + 1; i < LIVES; i++)
		kill(pids[i], SIGKILL);
	fail_msg("process %zu ended with %d, signal %d", failed,
	    WEXITSTATUS(status), WTERMSIG(status));
}

static void
test_together(void **state)
{
	static const char *const names[] = { "a", "b", "f", "g" };
	pid_t pids[LIVES];
	size_t i;
	int status;
	FILE *log;

	(void)state;
	put("mbox", "", 0);
	put("log", "", 0);
	log = fdopen(openat(home, "log", O_WRONLY | O_APPEND), "a");
	assert_non_null(log);
	until = time(NULL) + SECONDS;
	fflush(NULL);
	for (i = 0; i < LIVES; i++) {
		pids[i] = fork();
		if (pids[i] != 0)
			continue;
		if (i == 4)
			collect_life(log);
		else if (i < 2)
			deliver_life(names[i]);
		else
			foreign_life(names[i]);
		_exit(0);
	}
	for (i = 0; i < LIVES; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		if (status != 0)
			give_up(pids, i, status);
	}
	assert_int_equal(collect(log, 1), 0);
	fclose(log);
	assert_file("mbox", "");
	assert_true(check_ids(names, 4) > 20);
	assert_false(has(LOCK));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_together),
	};

	return cmocka_run_group_tests_name("test_mbox_together", tests, NULL,
	    NULL);
}
