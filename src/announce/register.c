/*
 * A cycle: resolve the name server, connect, ask for the zone once, look at what stands under each name, then one update
 * for all of them; and again at half of its life, or sooner where it came to nothing. What leaves goes the same way.
 */
#include "announce/register.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/parse.h"
#include "os/survivor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_MS 1000000u
#define TIMERS 3u             /* that run at once */
#define ATTEMPT_MS 5000u      /* one cycle, at most */
#define BACKOFF_MS 500u       /* after the first that failed; then twice as much each time */
#define BACKOFF_MAX_MS 60000u /* and never more than half a life */
#define CONFLICTS_MAX 16u     /* in a row: others come first each time */
#define CONFLICT_MS 20u       /* before it is tried again, at most, and as much more each time */

static void cycle_begin(struct gb__announce *announce);

static uint64_t now_ns(const struct gb__announce *announce)
{
	struct gb__os *os = announce->watches->loop->os;

	return os->ops->now_ns(os);
}

static void timer_start(struct gb__announce *announce, struct gb_timer *timer, uint64_t delay_ms,
	void (*on_expire)(struct gb_timer *timer, void *arg))
{
	timer->on_expire = on_expire;
	timer->arg = announce;
	timer->deadline_ns = now_ns(announce) + delay_ms * NS_PER_MS;
	gb__timers_start_reserved(&announce->watches->loop->timers, timer);
}

static void timer_stop(struct gb__announce *announce, struct gb_timer *timer)
{
	gb__timers_stop(&announce->watches->loop->timers, timer);
}

/* Between three quarters of it and all: instances that began together do not meet each time. */
static uint64_t spread(struct gb__announce *announce, uint64_t ms)
{
	const uint64_t noise = (now_ns(announce) ^ (uintptr_t)announce >> 4) * 2654435761u >> 16;

	return ms - noise % (ms / 4 + 1);
}

static void next_time(struct gb_timer *timer, void *arg)
{
	(void)timer;
	cycle_begin(arg);
}

static void cycle_end(struct gb__announce *announce)
{
	gb__dialogue_close(&announce->dialogue);
	gb__lookup_drop(&announce->lookup);
	timer_stop(announce, &announce->bound);
	gb__changes_finish(&announce->changes);
	ldns_rr_list_deep_free(announce->there);
	announce->there = NULL;
	announce->step = GB__ANNOUNCE_IDLE;
}

static void go(struct gb__announce *announce, const char *state)
{
	cycle_end(announce);
	timer_stop(announce, &announce->next);
	timer_stop(announce, &announce->last);
	announce->status.state = state;
	announce->in_force = false;
	announce->gone = true;
	announce->on_gone(announce->arg);
}

static const char *first_name(const struct gb__announce *announce)
{
	return gb__announce_name(announce, 0);
}

/* Each reason is told once, and again when it has changed. */
__attribute__((format(printf, 2, 3))) static void fail(struct gb__announce *announce, const char *format, ...)
{
	const uint64_t half_ms = announce->ttl_s * 500ull;
	uint64_t delay_ms = gb__min((uint64_t)BACKOFF_MS << gb__min(announce->attempts, 16u), BACKOFF_MAX_MS);
	char text[sizeof(announce->error)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	cycle_end(announce);
	announce->attempts++;
	announce->conflicts = 0;
	announce->status.failures++;
	if (strcmp(text, announce->error) != 0)
		gb__log(GB__LOG_WARNING, "cannot %s %s: %s%s", announce->leaves ? "take back" : "announce",
			first_name(announce), text,
			announce->leaves ? "" : "; it is served, and tried again");
	memcpy(announce->error, text, sizeof(text));
	delay_ms = spread(announce, gb__max(gb__min(delay_ms, half_ms), 100u));
	if (!announce->leaves)
		announce->status.state = "retrying";
	timer_start(announce, &announce->next, delay_ms, next_time);
}

static void ask(struct gb__announce *announce, ldns_pkt *message)
{
	struct gb__dns_request request;

	if (gb__dns_seal(message, announce->signs ? &announce->key : NULL, &request) < 0)
		fail(announce, "no memory, or a message that is too long");
	else
		gb__dialogue_ask(&announce->dialogue, request);
}

static void look(struct gb__announce *announce, size_t node)
{
	announce->step = GB__ANNOUNCE_LOOK;
	announce->node = node;
	ask(announce, gb__dns_query(announce->nodes[node].name, LDNS_RR_TYPE_TXT));
}

static void tell_contested(struct gb__announce *announce)
{
	for (size_t i = 1; i < announce->nodes_count; i++)
		if (announce->in_force && gb__node_contested(&announce->nodes[i]))
			gb__log(GB__LOG_WARNING,
				"another server announces %s at the same port of %s: give each its own announce-host",
				announce->nodes[i].name, announce->host);
}

static void update(struct gb__announce *announce)
{
	struct gb__changes *changes = &announce->changes;
	const uint64_t unix_s = (uint64_t)time(NULL);

	if (gb__announce_fill(announce) < 0) {
		fail(announce, "no memory, or too many addresses");
		return;
	}
	tell_contested(announce);
	for (size_t i = 0; i < announce->nodes_count; i++)
		gb__node_change(&announce->nodes[i], announce->leaves, unix_s, now_ns(announce),
			announce->ttl_s, changes);
	if (changes->failed) {
		fail(announce, "no memory");
		return;
	}
	if (!changes->changes) {
		go(announce, "removed"); /* it leaves, and nothing of it is there */
		return;
	}
	announce->step = GB__ANNOUNCE_UPDATE;
	announce->asked = true;
	announce->removes = announce->leaves;
	ask(announce,
		gb__dns_update(announce->zone, changes->prerequisites, changes->changes, announce->ttl_s));
}

static void found_zone(struct gb__announce *announce, const ldns_pkt *answer)
{
	struct gb_error error;

	if (!*announce->zone && gb__dns_zone(answer, announce->zone, sizeof(announce->zone)) < 0) {
		const char *problem = gb__dns_problem(answer);

		fail(announce, "%s does not say which zone it is in (%s): set announce-zone",
			announce->server_text, problem ? problem : "no SOA record");
		return;
	}
	if (gb__announce_settle_names(announce, &error) < 0)
		fail(announce, "%s", error.text);
	else
		look(announce, 0);
}

static void looked(struct gb__announce *announce, const ldns_pkt *answer)
{
	const char *problem = gb__dns_problem(answer);

	if (problem && ldns_pkt_get_rcode(answer) != LDNS_RCODE_NXDOMAIN) {
		fail(announce, "%s answers a question for %s with %s", announce->server_text,
			announce->nodes[announce->node].name, problem);
	} else if (gb__node_look(&announce->nodes[announce->node], answer, now_ns(announce)) < 0) {
		fail(announce, "no memory");
	} else if (announce->node + 1 < announce->nodes_count) {
		look(announce, announce->node + 1);
	} else if (announce->leaves) {
		update(announce);
	} else {
		announce->step = GB__ANNOUNCE_V4;
		ask(announce, gb__dns_query(announce->host, LDNS_RR_TYPE_A));
	}
}

/* Address records of the host. */
static void found_addresses(struct gb__announce *announce, const ldns_pkt *answer)
{
	const ldns_rr_list *records = ldns_pkt_answer(answer);

	if (!announce->there)
		announce->there = ldns_rr_list_new();
	for (size_t i = 0; announce->there && i < ldns_rr_list_rr_count(records); i++) {
		ldns_rr *record = ldns_rr_clone(ldns_rr_list_rr(records, i));

		if (record && !ldns_rr_list_push_rr(announce->there, record))
			ldns_rr_free(record);
	}
	if (announce->step == GB__ANNOUNCE_V6) {
		update(announce);
		return;
	}
	announce->step = GB__ANNOUNCE_V6;
	ask(announce, gb__dns_query(announce->host, LDNS_RR_TYPE_AAAA));
}

static void tell_registered(struct gb__announce *announce)
{
	char life[32];

	gb__format_units(announce->status.life_s * 1000ull, gb__duration_units, life, sizeof(life));
	for (size_t i = 0; i < announce->services_count; i++) {
		char where[GB__ADDRESS_TEXT];

		gb__address_format(&announce->services[i].listening, where, sizeof(where));
		gb__log(GB__LOG_NOTICE, "announced %s at %s, which is %s, by %s; for %s unless renewed",
			announce->services[i].name, announce->host, where, announce->server_text, life);
	}
}

static void updated(struct gb__announce *announce, ldns_pkt *answer)
{
	const uint32_t granted_s = gb__dns_granted(answer);

	announce->status.updates++;
	announce->status.expired += announce->changes.removed;
	announce->attempts = announce->conflicts = 0;
	announce->status.leased = granted_s > 0;
	announce->status.life_s = granted_s ? gb__min(granted_s, announce->ttl_s) : announce->ttl_s;
	if (announce->changes.removed > 0)
		gb__log(GB__LOG_NOTICE, "removed %u lease%s under the names of %s that nobody renewed",
			announce->changes.removed, announce->changes.removed == 1 ? "" : "s",
			first_name(announce));
	if (announce->leaves) {
		gb__log(GB__LOG_INFO, "%s is not announced any more", first_name(announce));
		go(announce, "removed");
		return;
	}
	if (!announce->in_force || announce->error[0])
		tell_registered(announce);
	announce->in_force = true;
	announce->error[0] = '\0';
	announce->status.state = "registered";
	cycle_end(announce);
	timer_start(announce, &announce->next, spread(announce, announce->status.life_s * 500ull), next_time);
}

/* Somebody else has changed it since we looked. */
static void conflict(struct gb__announce *announce)
{
	cycle_end(announce);
	timer_start(announce, &announce->next,
		spread(announce, (uint64_t)CONFLICT_MS * ++announce->conflicts), next_time);
}

static void answered_update(struct gb__announce *announce, ldns_pkt *answer)
{
	const ldns_pkt_rcode code = ldns_pkt_get_rcode(answer);
	const char *problem = gb__dns_problem(answer);

	if ((code == LDNS_RCODE_NXRRSET || code == LDNS_RCODE_YXRRSET) && announce->conflicts < CONFLICTS_MAX)
		conflict(announce);
	else if (problem)
		fail(announce, "%s answers an update of %s with %s", announce->server_text, announce->zone,
			problem);
	else
		updated(announce, answer);
}

static void connected(struct gb__announce *announce)
{
	if (gb__dialogue_local(&announce->dialogue, &announce->local) < 0)
		announce->local = announce->server;
	announce->step = GB__ANNOUNCE_FIND;
	if (*announce->zone)
		found_zone(announce, NULL);
	else
		ask(announce, gb__dns_query(first_name(announce), LDNS_RR_TYPE_SOA));
}

static void on_answer(struct gb__dialogue *dialogue, const uint8_t *bytes, size_t size)
{
	struct gb__announce *announce = gb__container_of(dialogue, struct gb__announce, dialogue);
	struct gb_error error;
	ldns_pkt *answer;

	if (announce->step == GB__ANNOUNCE_CONNECT) {
		connected(announce);
		return;
	}
	if (gb__dns_open(&dialogue->request, announce->signs ? &announce->key : NULL, bytes, size, &answer,
		    &error) < 0) {
		fail(announce, "%s answers %s", announce->server_text, error.text);
		return;
	}
	if (announce->step == GB__ANNOUNCE_UPDATE && announce->leaves && !announce->removes) {
		cycle_end(announce); /* it has come to leave meanwhile */
		cycle_begin(announce);
	} else if (announce->step == GB__ANNOUNCE_FIND)
		found_zone(announce, answer);
	else if (announce->step == GB__ANNOUNCE_LOOK)
		looked(announce, answer);
	else if (announce->step == GB__ANNOUNCE_UPDATE)
		answered_update(announce, answer);
	else
		found_addresses(announce, answer);
	ldns_pkt_free(answer);
}

static void on_failed(struct gb__dialogue *dialogue, int error)
{
	struct gb__announce *announce = gb__container_of(dialogue, struct gb__announce, dialogue);

	if (announce->step == GB__ANNOUNCE_CONNECT)
		fail(announce, "cannot connect to %s: %s", announce->server_text, gb_strerror(error));
	else
		fail(announce, "%s has closed the connection: %s", announce->server_text, gb_strerror(error));
}

static void attempt_over(struct gb_timer *timer, void *arg)
{
	struct gb__announce *announce = arg;

	(void)timer;
	fail(announce, "%s does not answer", announce->server_text);
}

/* Of several addresses each attempt that failed makes way for the next. */
static void resolved(struct gb__announce *announce, int code)
{
	const struct gb__lookup *lookup = &announce->lookup;
	int result;

	if (code < 0) {
		fail(announce, "%s: %s", announce->server_text, gb_strerror(code));
		return;
	}
	announce->server = lookup->found[announce->attempts % lookup->count].address;
	announce->step = GB__ANNOUNCE_CONNECT;
	result = gb__dialogue_open(&announce->dialogue, announce->watches, &announce->server);
	if (result < 0)
		fail(announce, "cannot connect to %s: %s", announce->server_text, gb_strerror(result));
}

static void on_resolved(struct gb__lookup *lookup, int code)
{
	resolved(gb__container_of(lookup, struct gb__announce, lookup), code);
}

static void cycle_begin(struct gb__announce *announce)
{
	int result = -ENOMEM;

	announce->step = GB__ANNOUNCE_RESOLVE;
	timer_start(announce, &announce->bound, ATTEMPT_MS, attempt_over);
	if (announce->names || !gb__announce_resolves(announce))
		result = gb__lookup_begin(&announce->lookup, announce->names, &announce->target, on_resolved);
	if (result <= 0)
		resolved(announce, result);
}

static int begin(struct gb__announce *announce, struct gb__watches *watches, struct gb__names *names,
	void (*on_gone)(void *arg), void *arg)
{
	int result = gb__timers_reserve(&watches->loop->timers, TIMERS);

	if (result < 0)
		return result;
	announce->watches = watches;
	announce->names = names;
	announce->on_gone = on_gone;
	announce->arg = arg;
	announce->dialogue.on_answer = on_answer;
	announce->dialogue.on_failed = on_failed;
	announce->gone = announce->leaves = announce->asked = announce->in_force = false;
	announce->attempts = announce->conflicts = 0;
	return 0;
}

int gb__announce_begin(struct gb__announce *announce, struct gb__watches *watches, struct gb__names *names,
	void (*on_gone)(void *arg), void *arg)
{
	int result = begin(announce, watches, names, on_gone, arg);

	if (result < 0)
		return result;
	announce->status.state = "registering";
	cycle_begin(announce);
	return 0;
}

static void give_up(struct gb_timer *timer, void *arg)
{
	struct gb__announce *announce = arg;

	(void)timer;
	gb__log(GB__LOG_WARNING, "%s could not be taken back in time%s%s: it stays until its lease is over",
		first_name(announce), announce->error[0] ? ": " : "", announce->error);
	go(announce, "left");
}

void gb__announce_withdraw(struct gb__announce *announce, uint64_t within_ms)
{
	if (announce->gone || announce->leaves)
		return;
	if (!announce->asked) {
		go(announce, "removed");
		return;
	}
	announce->leaves = true;
	announce->status.state = "removing";
	announce->error[0] = '\0';
	announce->attempts = 0;
	timer_start(announce, &announce->last, within_ms, give_up);
	/* An update on its way is waited for: nobody knows when it will have been done, and it must not be after ours. */
	if (announce->step == GB__ANNOUNCE_UPDATE)
		return;
	cycle_end(announce);
	timer_stop(announce, &announce->next);
	cycle_begin(announce);
}

int gb__announce_clear(struct gb__announce *announce, struct gb__watches *watches, struct gb__names *names,
	uint64_t within_ms, void (*on_gone)(void *arg), void *arg)
{
	int result = begin(announce, watches, names, on_gone, arg);

	if (result < 0)
		return result;
	announce->asked = true; /* perhaps */
	gb__announce_withdraw(announce, within_ms);
	return 0;
}

bool gb__announce_gone(const struct gb__announce *announce)
{
	return !announce || announce->gone;
}

void gb__announce_end(struct gb__announce *announce)
{
	const bool left = announce->asked && strcmp(announce->status.state, "removed") != 0;

	gb__survivor_dismiss(announce->guard, left);
	announce->guard = -1;
	if (!announce->watches)
		return;
	cycle_end(announce);
	timer_stop(announce, &announce->next);
	timer_stop(announce, &announce->last);
	if (left)
		announce->status.state = "left";
	announce->gone = true;
	announce->watches = NULL;
}

void gb__announce_abandon(struct gb__announce *announce)
{
	if (!announce)
		return;
	gb__dialogue_abandon(&announce->dialogue);
	gb__survivor_abandon(announce->guard);
	announce->guard = -1;
}

void gb__announce_status(const struct gb__announce *announce, struct gb__announce_status *ret)
{
	*ret = announce->status;
	ret->server = announce->server_text;
	ret->zone = announce->zone;
}

bool gb__announce_resolves(const struct gb__announce *announce)
{
	return announce->target.kind != GB__TARGET_ADDRESS;
}
