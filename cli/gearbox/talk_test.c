/* Talks: that every service has its own, what protocols must hear, and how pieces are cut. */
#include "gearbox/protocols.h"
#include "verify/conversation.h"

#include "services.h"

#include "harness.h"

static struct verify_talk *talk_with(
	struct verify_plan *plan, const struct verify_protocol *protocol, unsigned address)
{
	struct verify_talk *talk;

	*plan = (struct verify_plan){ .protocol = protocol, .conversation = "test" };
	talk = gb__verify_plan_talk(plan);
	talk->address = address;
	return talk;
}

static void check_bytes(const struct verify_bytes *bytes, const void *data, size_t size)
{
	CHECK_INT(bytes->size, size);
	CHECK(size == 0 || memcmp(bytes->data, data, size) == 0);
}

static const struct verify_protocol *protocol_of(const struct gb_service *service)
{
	for (const struct verify_protocol *const *protocol = gb__protocols_builtin; *protocol; protocol++)
		if (gb__verify_knows(*protocol, service->name))
			return *protocol;
	return NULL;
}

TEST(every_service_has_a_protocol)
{
	for (const struct gb_service *const *service = gb_services; *service; service++)
		if (!protocol_of(*service))
			test_fail(
				__FILE__, __LINE__, "no protocol for %s: see protocols.h", (*service)->name);
	for (const struct verify_protocol *const *protocol = gb__protocols_builtin; *protocol; protocol++) {
		CHECK(gb_service_find((*protocol)->service));
		for (unsigned i = 0; i < VERIFY_TWINS && (*protocol)->twins[i]; i++)
			CHECK(gb_service_find((*protocol)->twins[i]));
		CHECK(!(*protocol)->exchange != !(*protocol)->speech);
	}
}

TEST(every_talk_can_be_played)
{
	for (const struct verify_protocol *const *protocol = gb__protocols_builtin; *protocol; protocol++)
		for (unsigned stage = 0; stage < VERIFY_STAGES; stage++) {
			struct verify_plan plan;

			gb__verify_plan_write(&plan, *protocol, stage, NULL);
			CHECK(plan.talks_count > 0 || stage > VERIFY_LAST);
			for (size_t i = 0; i < plan.talks_count; i++) {
				const struct verify_talk *talk = plan.talks[i];
				size_t sent = 0;

				CHECK(talk->reasons != 0 && talk->address < VERIFY_ADDRESSES);
				for (size_t j = 0; j < talk->steps_count; j++) {
					const struct verify_step *step = &talk->steps[j];

					if (step->kind == VERIFY_SEND) {
						CHECK(step->amount > sent);
						sent = step->amount;
					} else if (step->kind == VERIFY_FILL) {
						sent = talk->sent.size;
					} else if (step->kind == VERIFY_AWAIT) {
						CHECK(step->amount <= talk->wanted.size);
					}
				}
				CHECK_INT(sent, talk->sent.size);
			}
			gb__verify_plan_finish(&plan);
		}
}

TEST(talks_are_the_same_in_every_run)
{
	struct verify_plan first, second;

	gb__verify_plan_write(&first, &gb__verify_work, VERIFY_PATIENT, NULL);
	gb__verify_plan_write(&second, &gb__verify_work, VERIFY_PATIENT, NULL);
	CHECK_INT(first.talks_count, second.talks_count);
	for (size_t i = 0; i < first.talks_count; i++) {
		const struct verify_talk *a = first.talks[i], *b = second.talks[i];

		check_bytes(&a->sent, b->sent.data, b->sent.size);
		check_bytes(&a->wanted, b->wanted.data, b->wanted.size);
		CHECK_INT(a->steps_count, b->steps_count);
		for (size_t j = 0; j < a->steps_count; j++)
			CHECK(a->steps[j].kind == b->steps[j].kind &&
				a->steps[j].amount == b->steps[j].amount);
	}
	gb__verify_plan_finish(&first);
	gb__verify_plan_finish(&second);
}

TEST(only_the_named_conversation_is_written)
{
	struct verify_plan plan;

	gb__verify_plan_write(&plan, &gb__verify_echo, VERIFY_PATIENT, "large");
	CHECK_INT(plan.talks_count, 1);
	CHECK(plan.talks[0]->sent.size >= 1 << 20);
	gb__verify_plan_finish(&plan);
	gb__verify_plan_write(&plan, &gb__verify_echo, VERIFY_PATIENT, "spoken");
	CHECK_INT(plan.talks_count, 0);
	gb__verify_plan_finish(&plan);
}

TEST(echo_answers_with_the_same_bytes)
{
	struct verify_plan plan;
	struct verify_talk *talk = talk_with(&plan, &gb__verify_echo, 0);

	gb__verify_talk_exchange(talk, 100);
	gb__verify_talk_exchange(talk, 7);
	check_bytes(&talk->wanted, talk->sent.data, 107);
	gb__verify_plan_finish(&plan);
}

TEST(time_echo_answers_with_the_frozen_time_before_the_line)
{
	struct verify_plan plan;
	struct verify_talk *talk = talk_with(&plan, &gb__verify_time_echo, 0);

	gb__verify_talk_exchange(talk, 5);
	CHECK_INT(talk->sent.size, 6);
	CHECK_INT(talk->sent.data[5], '\n');
	CHECK_INT(talk->wanted.size, 27 + 6);
	CHECK(memcmp(talk->wanted.data, "[Thu Apr 20 12:00:00 2017] ", 27) == 0);
	CHECK(memcmp(talk->wanted.data + 27, talk->sent.data, 6) == 0);
	gb__verify_talk_exchange(
		talk, 2 * VERIFY_MESSAGE_MAX); /* as long as a line may be, and ends with CR LF */
	CHECK_INT(talk->sent.size, 6 + VERIFY_MESSAGE_MAX + 2);
	CHECK_INT(talk->wanted.size, 33 + 27 + VERIFY_MESSAGE_MAX + 1);
	gb__verify_plan_finish(&plan);
}

TEST(work_answers_with_id_and_payload)
{
	struct verify_plan plan;
	struct verify_talk *talk = talk_with(&plan, &gb__verify_work, 0);

	talk->exchanges = 2;
	gb__verify_talk_exchange(talk, 15);
	CHECK_INT(talk->sent.size, 4 + 15);
	CHECK(memcmp(talk->sent.data, "\0\0\0\x0f\0\0\0\x02\0\0\0\0\0\0\0\0", 16) == 0);
	CHECK_INT(talk->wanted.size, 8 + 3);
	CHECK(memcmp(talk->wanted.data, "\0\0\0\x07\0\0\0\x02", 8) == 0);
	CHECK(memcmp(talk->wanted.data + 8, talk->sent.data + 16, 3) == 0);
	gb__verify_plan_finish(&plan);
}

TEST(speeches_are_those_of_the_standards)
{
	static const char second_line[] =
		"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n";
	struct verify_plan plan;
	struct verify_talk *talk = talk_with(&plan, &gb__verify_chargen, 0);

	CHECK(!gb__verify_chargen.speech(talk, 148));
	CHECK(memcmp(talk->wanted.data + 74, second_line, 74) == 0);
	CHECK(gb__verify_chargen.speech(talk, SIZE_MAX));
	CHECK_INT(talk->wanted.size, 40003);
	gb__verify_plan_finish(&plan);

	talk = talk_with(&plan, &gb__verify_daytime, 0);
	CHECK(gb__verify_daytime.speech(talk, SIZE_MAX));
	check_bytes(&talk->wanted, "Thursday, April 20, 2017 12:00:00-UTC\r\n", 39);
	gb__verify_plan_finish(&plan);

	talk = talk_with(&plan, &gb__verify_time, 0);
	CHECK(gb__verify_time.speech(talk, SIZE_MAX));
	check_bytes(&talk->wanted, "\x96\x79\x24\x80", 4);
	gb__verify_plan_finish(&plan);
}

TEST(pieces_make_up_the_whole)
{
	struct verify_plan plan;
	struct verify_talk *talk = talk_with(&plan, &gb__verify_echo, 0);

	gb__verify_talk_exchange(talk, 1000);
	gb__verify_talk_send_cut(talk, 10, 1);
	CHECK_INT(talk->steps[talk->steps_count - 2].amount, 1000);
	gb__verify_talk_exchange(talk, 3);
	gb__verify_talk_send_bytes(talk, 0);
	CHECK_INT(talk->steps[talk->steps_count - 3].amount, 1001);
	CHECK_INT(talk->steps[talk->steps_count - 1].amount, 1003);
	gb__verify_talk_exchange(talk, 10);
	gb__verify_talk_send_halves(talk, 1004, 5);
	CHECK_INT(talk->steps[talk->steps_count - 3].amount, 1004);
	CHECK_INT(talk->steps[talk->steps_count - 2].kind, VERIFY_PAUSE);
	CHECK_INT(talk->steps[talk->steps_count - 1].amount, 1013);
	gb__verify_plan_finish(&plan);
}
