/*
 * Happy path: nobody knows the name, so an entry is made, asked for, and whoever asks meanwhile waits for it as well; the
 * answer is kept for its time to live and told to all of them, by the loop. Then it is found until that is over.
 *
 * An answer may come after the time for it: those who waited have been told by then, and it is kept all the same. Failures
 * (no name server answers, or none with anything of use) are kept for a moment only, so that not everybody asks again at
 * once while they last.
 */
#include "name/names.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/macros.h"

#include <string.h>
#include <sys/stat.h>

#define SECOND_NS 1000000000ull
#define FAILURE_S 1u /* held so long */
#define UNSAID_S 5u  /* that it is not there, where nobody said for how long */
#define NEGATIVE_MAX_S \
	300u /* RFC 2308, section 5: one to three hours at most; who waits for a name to come waits less */
#define PER_BUCKET 16u /* names, where as many as may be are known */
#define TRY_PARTS 5u   /* of the time for an answer, for the first try */

struct entry {
	struct gb__list bucket, recent, asking, told;
	struct gb__names *names;
	struct gb__list waiters;
	struct gb__known known;
	uint64_t deadline_ns;
	bool holds;     /* `known` is something */
	bool under_way; /* a question is */
	bool telling;
	struct gb__answer former; /* that is being told, while a new one has come */
	enum gb__question question;
	char name[];
};

uint64_t gb__names_now_ns(const struct gb__names *names)
{
	return names->loop->os->ops->now_ns(names->loop->os);
}

void gb__names_init(struct gb__names *names, struct gb__watches *watches, struct gb_worker *worker,
	const struct gb__names_options *options, struct gb__names_counters *counters)
{
	*names = (struct gb__names){ .watches = watches,
		.loop = watches->loop,
		.worker = worker,
		.options = *options,
		.counters = counters };
	gb__list_init(&names->recent);
	gb__list_init(&names->asking);
	gb__list_init(&names->told);
}

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static struct gb__list *bucket_of(const struct gb__names *names, enum gb__question question, const char *name)
{
	const uint32_t value = gb__hash32_add_text(GB__HASH32 ^ question, name);

	return &names->buckets[(value ^ value >> 16) % names->buckets_count];
}

static struct entry *find(const struct gb__names *names, enum gb__question question, const char *name)
{
	struct gb__list *bucket;

	if (!names->buckets)
		return NULL;
	bucket = bucket_of(names, question, name);
	for (struct gb__list *link = bucket->next; link != bucket; link = link->next) {
		struct entry *entry = gb__container_of(link, struct entry, bucket);

		if (entry->question == question && strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

static void answer_free(struct gb__answer *answer)
{
	gb__free(answer->addresses);
	gb__free(answer->services);
	*answer = (struct gb__answer){ 0 };
}

static void entry_free(struct entry *entry)
{
	gb__assert(gb__list_empty(&entry->waiters) && !entry->under_way);
	gb__list_remove(&entry->bucket);
	gb__list_remove(&entry->recent);
	gb__list_remove(&entry->asking);
	gb__list_remove(&entry->told);
	answer_free(&entry->known.answer);
	entry->names->known--;
	gb__free(entry);
}

/* Those that were not looked for the longest time. Who is asked for, or is being told, stays. */
static void make_room(struct gb__names *names)
{
	struct gb__list *link = names->recent.next;

	while (names->known >= names->options.known_max && link != &names->recent) {
		struct entry *entry = gb__container_of(link, struct entry, recent);

		link = link->next;
		if (!entry->under_way && !entry->telling && gb__list_empty(&entry->waiters))
			entry_free(entry);
	}
}

static struct entry *entry_create(struct gb__names *names, enum gb__question question, const char *name)
{
	struct entry *entry;

	make_room(names);
	entry = gb__alloc_zero(sizeof(*entry) + strlen(name) + 1);
	if (!entry)
		return NULL;
	entry->names = names;
	entry->question = question;
	memcpy(entry->name, name, strlen(name) + 1);
	gb__list_init(&entry->asking);
	gb__list_init(&entry->told);
	gb__list_init(&entry->waiters);
	gb__list_append(bucket_of(names, question, name), &entry->bucket);
	gb__list_append(&names->recent, &entry->recent);
	names->known++;
	return entry;
}

static void used(struct entry *entry)
{
	gb__list_remove(&entry->recent);
	gb__list_append(&entry->names->recent, &entry->recent);
}

const struct gb__known *gb__names_find(struct gb__names *names, enum gb__question question, const char *name)
{
	struct entry *entry = find(names, question, name);

	if (!entry || !entry->holds || entry->known.until_ns <= gb__names_now_ns(names))
		return NULL;
	used(entry);
	count(&names->counters->hits);
	return &entry->known;
}

static void tell(struct gb__names *names);

static void on_post(struct gb__post *post, bool alive)
{
	struct gb__names *names = gb__container_of(post, struct gb__names, post);

	names->posted = false;
	if (alive)
		tell(names);
}

/* By the loop, in this turn or the next. */
static void tell_soon(struct gb__names *names)
{
	if (names->posted || gb__list_empty(&names->told))
		return;
	names->post.run = on_post;
	names->posted = gb__loop_post(names->loop, &names->post) == 0;
}

static void tell_entry(struct entry *entry)
{
	struct gb__list waiters;
	struct gb__known known;

	/* Who asks again from there waits for the next answer. */
	gb__list_init(&waiters);
	gb__list_move(&waiters, &entry->waiters);
	entry->telling = true;
	known = entry->known;
	while (!gb__list_empty(&waiters)) {
		struct gb__names_waiter *waiter =
			gb__container_of(waiters.next, struct gb__names_waiter, link);

		gb__list_remove(&waiter->link);
		waiter->on_known(waiter, &known);
	}
	entry->telling = false;
	answer_free(&entry->former);
}

/* What is to be told by the end of it waits for the next turn: whoever asks in a circle does not hold this one. */
static void tell(struct gb__names *names)
{
	struct gb__list told;

	gb__list_init(&told);
	gb__list_move(&told, &names->told);
	while (!gb__list_empty(&told)) {
		struct entry *entry = gb__container_of(told.next, struct entry, told);

		gb__list_remove(&entry->told);
		tell_entry(entry);
	}
	tell_soon(names);
}

static bool is_absent(int code)
{
	return code == -GB_ENONAME || code == -GB_ENOADDRESS;
}

static uint64_t held_s(const struct gb__names *names, const struct gb__answer *answer)
{
	const struct gb__names_options *options = &names->options;
	uint64_t ttl_s = answer->ttl_s;

	if (answer->code != 0 && !is_absent(answer->code))
		return FAILURE_S;
	if (answer->code != 0)
		ttl_s = gb__min(ttl_s ? ttl_s : UNSAID_S, NEGATIVE_MAX_S);
	return gb__min(gb__max(ttl_s, options->ttl_min_s), options->ttl_max_s);
}

/* An answer, or that there is none in time. */
static void learn(struct entry *entry, const struct gb__answer *answer)
{
	struct gb__names *names = entry->names;

	if (entry->telling && !entry->former.addresses && !entry->former.services)
		entry->former = entry->known.answer;
	else
		answer_free(&entry->known.answer);
	entry->known.answer = *answer;
	entry->known.until_ns = gb__names_now_ns(names) + held_s(names, answer) * SECOND_NS;
	entry->holds = true;
	if (answer->code < 0)
		count(&names->counters->failures);
	gb__list_remove(&entry->asking);
	if (gb__list_empty(&entry->waiters))
		return;
	gb__list_remove(&entry->told);
	gb__list_append(&names->told, &entry->told);
}

static void on_told(void *arg, struct gb__answer *answer)
{
	struct entry *entry = arg;

	entry->under_way = false;
	entry->names->under_way--;
	learn(entry, answer);
}

static void on_progress(void *arg)
{
	tell(arg);
}

static void set_timer(struct gb__names *names);

static void on_time(struct gb_timer *timer, void *arg)
{
	static const struct gb__answer late = { .code = -GB_ENAMETIMEOUT };
	struct gb__names *names = arg;
	uint64_t now_ns = gb__names_now_ns(names);

	(void)timer;
	while (!gb__list_empty(&names->asking)) {
		struct entry *entry = gb__container_of(names->asking.next, struct entry, asking);

		if (entry->deadline_ns > now_ns)
			break;
		learn(entry, &late);
	}
	set_timer(names);
	tell(names);
}

static void set_timer(struct gb__names *names)
{
	gb__timers_stop(&names->loop->timers, &names->timer);
	if (gb__list_empty(&names->asking))
		return;
	names->timer.worker = names->worker;
	names->timer.on_expire = on_time;
	names->timer.arg = names;
	names->timer.deadline_ns = gb__container_of(names->asking.next, struct entry, asking)->deadline_ns;
	/* Without memory for it c-ares' own timeouts end it. */
	(void)gb__timers_start(&names->loop->timers, &names->timer);
}

/* When the system's configuration was last written, and which file it is. */
static uint64_t system_stamp(void)
{
	struct stat status;

	if (stat("/etc/resolv.conf", &status) < 0)
		return 0;
	return (uint64_t)status.st_mtim.tv_sec * SECOND_NS + (uint64_t)status.st_mtim.tv_nsec + status.st_ino;
}

static int ready(struct gb__names *names)
{
	const struct gb__dns_options options = { .watches = names->watches,
		.worker = names->worker,
		.servers = names->options.servers,
		.try_ms = gb__max(names->options.timeout_ms / TRY_PARTS, 50u),
		.on_progress = on_progress,
		.arg = names };
	const bool system = !options.servers || !*options.servers;
	uint64_t stamp = system ? system_stamp() : 0;

	if (names->dns && (stamp == names->system_stamp || names->under_way > 0))
		return 0;
	gb__dns_destroy(names->dns); /* the system's is another one now */
	names->dns = NULL;
	if (!names->buckets) {
		const size_t count = names->options.known_max / PER_BUCKET + 1;

		names->buckets = gb__alloc(count * sizeof(*names->buckets));
		if (!names->buckets)
			return -ENOMEM;
		for (size_t i = 0; i < count; i++)
			gb__list_init(&names->buckets[i]);
		names->buckets_count = count;
		names->random = gb__names_now_ns(names) ^ (uintptr_t)names;
	}
	names->system_stamp = stamp;
	return gb__dns_create(&options, &names->dns, NULL);
}

int gb__names_ask(struct gb__names *names, enum gb__question question, const char *name,
	struct gb__names_waiter *waiter)
{
	int result = names->ended ? -ESHUTDOWN : ready(names);
	struct entry *entry;
	bool first;

	if (result < 0)
		return result;
	entry = find(names, question, name);
	if (!entry)
		entry = entry_create(names, question, name);
	if (!entry)
		return -ENOMEM;
	used(entry);
	gb__list_append(&entry->waiters, &waiter->link);
	if (gb__list_empty(&entry->asking)) {
		entry->deadline_ns = gb__names_now_ns(names) + names->options.timeout_ms * 1000000u;
		gb__list_append(&names->asking, &entry->asking);
		first = names->asking.next == &entry->asking;
		if (first)
			set_timer(names);
	}
	if (!entry->under_way) {
		entry->under_way = true;
		names->under_way++;
		count(&names->counters->queries);
		gb__dns_ask(names->dns, question, name, on_told, entry);
		tell_soon(names);
	}
	return 0;
}

void gb__names_forget(struct gb__names_waiter *waiter)
{
	if (waiter->link.next)
		gb__list_remove(&waiter->link);
}

static void end_entry(struct entry *entry)
{
	static const struct gb__answer ended = { .code = -ECANCELED };

	if (!gb__list_empty(&entry->waiters))
		learn(entry, &ended);
}

void gb__names_abandon(struct gb__names *names)
{
	if (names)
		gb__dns_abandon(names->dns);
}

void gb__names_end(struct gb__names *names)
{
	if (names->ended)
		return;
	names->ended = true;
	gb__timers_stop(&names->loop->timers, &names->timer);
	gb__dns_destroy(names->dns);
	names->dns = NULL;
	for (size_t i = 0; i < names->buckets_count; i++)
		for (struct gb__list *link = names->buckets[i].next; link != &names->buckets[i];
			link = link->next)
			end_entry(gb__container_of(link, struct entry, bucket));
	tell(names);
	for (size_t i = 0; i < names->buckets_count; i++)
		while (!gb__list_empty(&names->buckets[i]))
			entry_free(gb__container_of(names->buckets[i].next, struct entry, bucket));
	gb__free(names->buckets);
	names->buckets = NULL;
	names->buckets_count = 0;
}
