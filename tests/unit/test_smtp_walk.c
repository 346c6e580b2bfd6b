/* LINK: smtpd/session smtpd/commands smtpd/security smtpd/auth smtpd/parameters smtpd/receive smtpd/bdat smtpd/binary smtpd/mime_type smtpd/stubs smtpd/address smtpd/xtext smtpd/data wire/wire wire/sasl privsep/facts privsep/message privsep/log wire/utf8 */
/*
 * SMTP sessions as a random walk (C3): batches of commands against a small
 * model of its own.
 */
#include "tests/smtp_session.h"

/*
 * The model knows SMTP's sequence and limits, nothing of the
 * code under test.
 */
struct model {
	int	greeted, open, recipients, begun, over;
	int	lmtp, octets;
	int	esmtp, submits, plaintext, tls, login;
	int	errors, idle, refusals;
	char	sender[16];
};

struct batch {
	char	text[4096];
	char	expected[1024][4];
	int	count;
	int	ends_in_tls;	/* nothing may follow before the handshake */
};

static void
batch_add(struct batch *batch, const char *text, const char *code)
{
	if (text != NULL)
		strlcat(batch->text, text, sizeof(batch->text));
	if (code != NULL)
		strlcpy(batch->expected[batch->count++], code, 4);
}

static void
model_close(struct model *model)
{
	model->open = model->recipients = model->begun = 0;
	model->octets = 0;
	model->sender[0] = '\0';
}

static void
walk_error(struct model *model, struct batch *batch, const char *text,
    const char *code)
{
	model->errors++;
	batch_add(batch, text, code);
}

/* What needs login is refused whatever else is wrong with it. */
static int
walk_needs_login(struct model *model, struct batch *batch, const char *line)
{
	if (!model->submits || model->login)
		return 0;
	walk_error(model, batch, line, "530");
	return 1;
}

static void
walk_mail(struct model *model, struct batch *batch, unsigned int dice)
{
	static const char *const senders[] = { "a", "b", "full", "lost",
	    "nodata", "no", "wait" };
	const char *sender = senders[dice % 7];
	char line[64];

	snprintf(line, sizeof(line), "MAIL FROM:<%s@b>\r\n", sender);
	if (walk_needs_login(model, batch, line))
		return;
	if (!model->greeted || model->open) {
		walk_error(model, batch, line, "503");
	} else if (strcmp(sender, "no") == 0) {
		model->refusals++;
		batch_add(batch, line, "550");
	} else if (strcmp(sender, "wait") == 0) {
		batch_add(batch, line, "451");
	} else {
		model->open = 1;
		strlcpy(model->sender, sender, sizeof(model->sender));
		batch_add(batch, line, "250");
	}
}

static void
walk_rcpt(struct model *model, struct batch *batch, unsigned int dice)
{
	static const char *const lines[] = { "RCPT TO:<c@d>\r\n",
	    "RCPT TO:<no@d>\r\n", "RCPT TO:<wait@d>\r\n",
	    "RCPT TO:<c@d> X=Y\r\n", "RCPT TO:<c@>\r\n" };
	static const char *const codes[] = { "250", "550", "451", "555",
	    "501" };
	unsigned int which = dice % 9;

	if (which > 4)
		which = 0;
	if (walk_needs_login(model, batch, lines[which]))
		return;
	if (!model->open || model->begun) {
		walk_error(model, batch, lines[which], "503");
	} else if (which > 2) {
		walk_error(model, batch, lines[which], codes[which]);
	} else {
		model->recipients += which == 0;
		model->refusals += which == 1;
		batch_add(batch, lines[which], codes[which]);
	}
}

/*
 * The end of the content, with LMTP a reply for each recipient; or of what was
 * not to be the last piece of it.
 */
static void
walk_outcome(struct model *model, struct batch *batch, int is_last,
    const char *code)
{
	int i, n = model->lmtp && is_last ? model->recipients : 1;

	for (i = 0; i < n; i++)
		batch_add(batch, NULL, code);
	if (strcmp(code, "250") == 0)
		model->idle = 0;
	model_close(model);
}

static void
walk_bdat(struct model *model, struct batch *batch, unsigned int dice)
{
	static const char *const pieces[] = { "x\r\n", "RSET\r\n.\r\n", "",
	    "x\n.\nMAIL FROM:<a@b>\r\n" };
	const char *piece = pieces[dice % 4], *code = NULL;
	int is_last = dice / 4 % 2 == 0;
	char line[128];

	snprintf(line, sizeof(line), "BDAT %zu%s\r\n%s", strlen(piece),
	    is_last ? " LAST" : "", piece);
	batch_add(batch, line, NULL);
	if (model->submits && !model->login)
		code = "530";
	else if (model->recipients == 0)
		code = "503";
	if (code != NULL) {
		model->idle++;
		batch_add(batch, NULL, code);
		return;
	}
	model->octets += (int)strlen(piece);
	if (!model->begun && strcmp(model->sender, "nodata") == 0) {
		walk_outcome(model, batch, is_last, "451");
	} else if (dice % 4 == 3) {
		model->errors++;
		walk_outcome(model, batch, is_last, "554");
	} else if (!is_last) {
		model->begun = 1;
		batch_add(batch, NULL, "250");
	} else
		walk_outcome(model, batch, 1,
		    strcmp(model->sender, "full") == 0 ? "452" :
		    strcmp(model->sender, "lost") == 0 && model->octets > 0 ?
		    "451" : "250");
}

static void
walk_data(struct model *model, struct batch *batch, unsigned int dice)
{
	const char *code = "250", *text = "x\r\nRSET\r\n..\r\n.\r\n";

	if (walk_needs_login(model, batch, "DATA\r\n"))
		return;
	if (model->recipients == 0 || model->begun) {
		walk_error(model, batch, "DATA\r\n", "503");
		return;
	}
	if (strcmp(model->sender, "nodata") == 0) {
		batch_add(batch, "DATA\r\n", "451");
		return;
	}
	if (strcmp(model->sender, "full") == 0)
		code = "452";
	else if (strcmp(model->sender, "lost") == 0)
		code = "451";
	if (dice % 3 == 0) {
		text = "x\n.\nMAIL FROM:<a@b>\r\n.\n\r\n.\r\n";
		code = "554";
		model->errors++;
	}
	batch_add(batch, "DATA\r\n", "354");
	batch_add(batch, text, NULL);
	walk_outcome(model, batch, 1, code);
}

static void
walk_greet(struct model *model, struct batch *batch, unsigned int dice)
{
	model->idle++;
	switch (dice % 4) {
	case 0:
		walk_error(model, batch, model->lmtp ? "LHLO\r\n" :
		    "EHLO\r\n", "501");
		return;
	case 1:
		if (model->lmtp) {
			walk_error(model, batch, "HELO c\r\n", "502");
			return;
		}
		batch_add(batch, "HELO c\r\n", "250");
		model->esmtp = 0;
		break;
	default:
		batch_add(batch, model->lmtp ? "LHLO c\r\n" : "EHLO c\r\n",
		    "250");
		model->esmtp = 1;
		break;
	}
	model->greeted = 1;
	model_close(model);
}

static void
walk_other(struct model *model, struct batch *batch, unsigned int dice)
{
	switch (dice % 8) {
	case 0:
		walk_error(model, batch, "WHAT\r\n", "500");
		break;
	case 1:
		walk_error(model, batch, "NOOP\nMAIL FROM:<a@b>\r\n", "500");
		break;
	case 2:
		model->idle++;
		if (!model->submits)
			walk_error(model, batch, "EXPN x\r\n", "502");
		else if (walk_needs_login(model, batch, "EXPN x\r\n"))
			break;
		else if (model->begun)
			walk_error(model, batch, "EXPN x\r\n", "503");
		else
			batch_add(batch, "EXPN x\r\n", "250");
		break;
	case 3:
		model->idle++;
		walk_error(model, batch, "RSET now\r\n", "501");
		break;
	case 4:
		model->idle++;
		if (walk_needs_login(model, batch, "VRFY x\r\n"))
			break;
		if (model->begun)
			walk_error(model, batch, "VRFY x\r\n", "503");
		else
			batch_add(batch, "VRFY x\r\n", "252");
		break;
	case 5:
		model->idle++;
		batch_add(batch, "HELP\r\n", "214");
		break;
	case 6:
		model->idle++;
		batch_add(batch, "NOOP x\r\n", "250");
		break;
	default:
		model->idle++;
		model_close(model);
		batch_add(batch, "RSET\r\n", "250");
		break;
	}
}

/* All is forgotten but the limits. */
static void
walk_starttls(struct model *model, struct batch *batch)
{
	model->idle++;
	if (model->lmtp) {
		walk_error(model, batch, "STARTTLS\r\n", "502");
		return;
	}
	if (!model->greeted || model->tls || !model->esmtp || model->login) {
		walk_error(model, batch, "STARTTLS\r\n", "503");
		return;
	}
	batch_add(batch, "STARTTLS\r\n", "220");
	batch->ends_in_tls = 1;
	model_close(model);
	model->tls = 1;
	model->greeted = model->esmtp = 0;
}

static void
walk_auth(struct model *model, struct batch *batch, unsigned int dice)
{
	const char *line = dice % 3 == 0 ? AUTH_ALICE :
	    "AUTH PLAIN AG5vAHB3\r\n";
	const char *code = "535";

	model->idle++;
	if (!model->submits) {
		code = "502";
	} else if (!model->greeted || model->open || model->login ||
	    !model->esmtp)
		code = "503";
	else if (!model->tls && !model->plaintext)
		code = "538";
	else if (dice % 3 == 0) {
		model->login = 1;
		batch_add(batch, line, "235");
		return;
	}
	walk_error(model, batch, line, code);
}

static void
walk_step(struct model *model, struct batch *batch, unsigned int verb,
    unsigned int dice)
{
	if (verb < 3)
		walk_greet(model, batch, dice);
	else if (verb < 14)
		walk_mail(model, batch, dice);
	else if (verb < 26)
		walk_rcpt(model, batch, dice);
	else if (verb < 30)
		walk_data(model, batch, dice);
	else if (verb < 34)
		walk_bdat(model, batch, dice);
	else if (verb < 39)
		walk_other(model, batch, dice);
	else if (verb < 42)
		walk_auth(model, batch, dice);
	else if (verb < 47)
		walk_starttls(model, batch);
	else {
		batch_add(batch, "QUIT\r\n", "221");
		model->over = 1;
		return;
	}
	if (model->errors >= (int)config.max_errors ||
	    model->refusals >= SESSION_REFUSALS_MAX ||
	    model->idle >= SESSION_IDLE_MAX) {
		batch_add(batch, NULL, "421");
		model->over = 1;
	}
}

/* Some commands in one go; sanity of model and session is in the replies. */
static int
walk_batch(struct model *model, unsigned int *seed)
{
	static struct batch batch;
	int i, length = 1 + rand_r(seed) % 8;

	memset(&batch, 0, sizeof(batch));
	for (i = 0; i < length && !model->over && !batch.ends_in_tls; i++) {
		unsigned int verb = rand_r(seed);

		walk_step(model, &batch, verb % 160 >= 48 ? 3 + verb % 31 :
		    verb % 48, rand_r(seed));
	}
	say(batch.text);
	for (length = 0; length < batch.count; length++)
		expect(batch.expected[length]);
	if (batch.ends_in_tls && !model->over)
		say(FAKE_HELLO);
	return i;
}

/* Port 25, submission, with and without TLS, and LMTP in turn. */
static void
test_c3_random_walk(void **state)
{
	struct model model;
	unsigned int seed = 3;
	int steps = 0, sessions = 0, logins = 0, upgrades = 0;

	(void)state;
	signer = 9;
	while (steps < 24000) {
		memset(&model, 0, sizeof(model));
		model.submits = sessions % 4 == 1 || sessions % 4 == 2;
		model.plaintext = sessions % 4 == 1;
		model.lmtp = sessions % 4 == 3;
		service = model.submits ? SERVICE_SUBMISSION :
		    model.lmtp ? SERVICE_LMTP : SERVICE_SMTP;
		facts = model.plaintext ? FACT_PLAINTEXT : 0;
		begin();
		expect("220");
		sessions++;
		/* Most of a session is to come after login. */
		if (model.plaintext && sessions % 3 != 0) {
			say("EHLO c\r\n" AUTH_ALICE);
			expect("250");
			expect("235");
			model.greeted = model.esmtp = model.login = 1;
			model.idle = 2;
		}
		while (!model.over)
			steps += walk_batch(&model, &seed);
		if (model.tls)
			expect_close_notify();
		else
			expect("");
		end();
		logins += model.login;
		upgrades += model.tls;
	}
	print_message("%d sessions, %d logins, %d upgrades\n", sessions,
	    logins, upgrades);
	assert_true(sessions > 10 && logins > 10 && upgrades > 10);
}

int
main(void)
{
	const struct CMUnitTest walk_tests[] = {
		cmocka_unit_test_setup(test_c3_random_walk, setup),
	};

	return cmocka_run_group_tests_name("test_smtp_walk", walk_tests, NULL,
	    NULL);
}
