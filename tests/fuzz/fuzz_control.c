/* LINK: privsep/hurry smtpd/waiting smtpd/job smtpd/job_expand smtpd/program mailbox/sha256 smtpd/settle smtpd/split smtpd/forward smtpd/notice smtpd/bounce smtpd/dsn smtpd/derived smtpd/trace smtpd/schedule smtpd/handout smtpd/handout_line smtpd/handout_talk smtpd/spool smtpd/spool_read smtpd/spool_write smtpd/envelope smtpd/expand smtpd/groups smtpd/aliases_include smtpd/aliases smtpd/aliases_file smtpd/aliases_index smtpd/account smtpd/address smtpd/xtext privsep/config privsep/log privsep/message OUTBOUND privsep/config_route wire/utf8 smtpd/control smtpd/control_gates smtpd/control_gate smtpd/control_work smtpd/control_act smtpd/control_view privsep/facts privsep/gates */
/*
 * A client of smtpd.ctl that says anything: the first octet chooses the user,
 * then come requests, each with two octets of length and one that chooses what
 * it pretends to be.  It is answered in whole pages that any client can
 * decode, sees nobody's letters but its own, and moves none but those.
 */
#include "privsep/log.h"
#include "tests/control_home.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define REQUESTS_MAX	32
#define OWN		1000
#define OTHER		1001

static void
say_nothing(int level, const char *line)
{
	(void)level;
	(void)line;
}

static void
prepare(void)
{
	static int is_open;
	static unsigned runs;

	if (!is_open) {
		log_init_master(say_nothing);
		home_open();
		is_open = 1;
	}
	if (runs++ % 500 != 0)
		return;
	schedule_begin(&q.schedule);
	home_empty(q.spool.queue);
	(void)home_letter(OWN, "own@here.example", 3, 100);
	(void)home_letter(OWN, "", 40, 0);
	(void)home_letter(OTHER, "other@here.example", 2, 100);
}

static void
check_records(struct message *m, uint32_t uid)
{
	struct recipient_record recipient;
	struct letter_record letter;
	uint32_t kind;

	while ((kind = get_u32(m)) != 0) {
		if (kind == RECORD_LETTER) {
			get_letter_record(m, &letter);
			REQUIRE(m->bad || uid == 0 || letter.owner == uid);
		} else {
			REQUIRE(kind == RECORD_RECIPIENT);
			get_recipient_record(m, &recipient);
		}
		REQUIRE(!m->bad);
	}
	REQUIRE(get_u32(m) <= PAGE_MORE && get_end(m) == 0);
}

static void
check_reply(struct message *m, uint32_t uid)
{
	static uint8_t data[MESSAGE_MAX];
	size_t len;

	switch (m->type) {
	case REPLY_RECORDS:
		check_records(m, uid);
		break;
	case REPLY_CONTENT:
		get_data(m, data, sizeof(data), &len);
		REQUIRE(get_u32(m) <= PAGE_MORE && get_end(m) == 0);
		break;
	case REPLY_DONE:
		(void)get_u32(m);
		(void)get_u32(m);
		(void)get_u32(m);
		REQUIRE(get_u32(m) == 0 && get_end(m) == 0);
		break;
	default:
		abort();
	}
}

static size_t
count_others(void)
{
	struct dirent *entry;
	size_t n = 0;
	DIR *d = fdopendir(openat(q.spool.queue, ".", O_RDONLY |
	    O_DIRECTORY));

	while ((entry = readdir(d)) != NULL) {
		struct spool_name name;
		struct view v;

		if (spool_name_parse(entry->d_name, &name) == -1 ||
		    view_open(&v, &q, &name, 0) == -1)
			continue;
		n += v.letter.envelope.owner == OTHER &&
		    !spool_is_held(&name);
		view_close(&v);
	}
	closedir(d);
	return n;
}

/* One request, and what comes of it. */
static void
talk(int fd, uint32_t uid, const uint8_t *data, size_t size, uint8_t what)
{
	static struct message m;
	int i;

	message_begin(&m, what % 16 == 0 ? what : REQ_LIST + what % 8);
	m.len = size > sizeof(m.data) ? sizeof(m.data) : size;
	memcpy(m.data, data, m.len);
	(void)message_send(fd, &m);
	for (i = 0; i < 100; i++) {
		home_turn();
		if (message_recv(fd, &m, 0) != 1)
			continue;
		check_reply(&m, uid);
		return;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t uids[] = { OWN, 0, ENVELOPE_NOBODY, 7 };
	uint32_t uid;
	size_t i, len, others;
	int fd;

	if (size < 1)
		return 0;
	prepare();
	uid = uids[data[0] % 4];
	others = count_others();
	fd = home_client(uid);
	data++;
	size--;
	for (i = 0; i < REQUESTS_MAX && size >= 3 && control.count > 0; i++) {
		len = (size_t)data[0] | (size_t)data[1] << 8;
		if (len > size - 3)
			len = size - 3;
		talk(fd, uid, data + 3, len, data[2]);
		data += 3 + len;
		size -= 3 + len;
	}
	close(fd);
	home_turn();
	REQUIRE(control.count == 0);
	if (uid != 0)
		REQUIRE(count_others() == others);
	return 0;
}
