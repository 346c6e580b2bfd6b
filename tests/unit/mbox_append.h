/*
 * mbox_append: one delivery to an mbox that has something already, to be cut
 * short by crash_points.h.
 */
#ifndef TESTS_MBOX_APPEND_H
#define TESTS_MBOX_APPEND_H

#include "crash_points.h"
#include "mbox_home.h"

#define OLD	"From carol Mon Jan  1 00:00:00 2024\n" \
		"Subject: old\n\nold text\n"
#define LARGE	600000

static const char *befores[] = { "", OLD "\n", OLD "no end" };

static int
run_append(void *arg)
{
	(void)arg;
	return ops->append(box, &letter);
}

static void
fresh(const char *before)
{
	leave();
	empty_directory(home, ".postern");
	if (has("mbox.lock"))
		assert_int_equal(unlinkat(home, "mbox.lock", 0), 0);
	put("mbox", before, strlen(before));
	assert_int_equal(enter(1), 0);
}

#endif
