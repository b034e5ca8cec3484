#include "announce/node.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull
#define LIFE_MAX_S (7u * 24 * 3600)

static bool has(const struct gb__lease *lease, const char *record)
{
	for (unsigned i = 0; i < lease->count; i++)
		if (strcmp(lease->records[i], record) == 0)
			return true;
	return false;
}

/* Only what a lease may bring: who can write TXT records shall not have others removed by us. */
static bool allowed(const char *record)
{
	return strncmp(record, "SRV ", 4) == 0 || strncmp(record, "A ", 2) == 0 ||
		strncmp(record, "AAAA ", 5) == 0;
}

int gb__lease_add(struct gb__lease *lease, const char *record)
{
	if (has(lease, record))
		return 0;
	if (lease->count == GB__LEASE_RECORDS || strlen(record) >= GB__LEASE_TEXT)
		return -ENOSPC;
	snprintf(lease->records[lease->count++], GB__LEASE_TEXT, "%s", record);
	return 0;
}

static bool read_number(const char *text, const char *key, uint64_t *ret)
{
	const size_t size = strlen(key);
	char *end;

	if (strncmp(text, key, size) != 0 || text[size] < '0' || text[size] > '9')
		return false;
	errno = 0;
	*ret = strtoull(text + size, &end, 10);
	return !*end && errno == 0;
}

bool gb__lease_read(const ldns_rr *record, struct gb__lease *ret)
{
	size_t count = ldns_rr_rd_count(record);

	if (ldns_rr_get_type(record) != LDNS_RR_TYPE_TXT || count < 4)
		return false;
	*ret = (struct gb__lease){ 0 };
	for (size_t i = 0; i < count; i++) {
		const ldns_rdf *part = ldns_rr_rdf(record, i);
		const size_t size = ldns_rdf_size(part) - 1;
		char text[GB__LEASE_TEXT];

		memcpy(text, ldns_rdf_data(part) + 1, size);
		text[size] = '\0';
		if (strlen(text) != size)
			return false;
		if (i == 0) {
			if (!read_number(text, "lease=", &ret->until_s))
				return false;
		} else if (i == 1) {
			if (!read_number(text, "life=", &ret->life_s) || ret->life_s > LIFE_MAX_S)
				return false;
		} else if (i == 2) {
			if (strncmp(text, "id=", 3) != 0)
				return false;
			snprintf(ret->id, sizeof(ret->id), "%s", text + 3);
		} else if (i == 3) {
			if (sscanf(text, "run=%" SCNx64, &ret->run) != 1)
				return false;
		} else if (allowed(text)) {
			(void)gb__lease_add(ret, text);
		}
	}
	return true;
}

static ldns_rr *lease_record(const char *name, uint32_t ttl_s, const struct gb__lease *lease)
{
	ldns_rr *record = NULL;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	fprintf(stream, "TXT \"lease=%" PRIu64 "\" \"life=%" PRIu64 "\" \"id=%s\" \"run=%" PRIx64 "\"",
		lease->until_s, lease->life_s, lease->id, lease->run);
	for (unsigned i = 0; i < lease->count; i++)
		fprintf(stream, " \"%s\"", lease->records[i]);
	if (fclose(stream) == 0)
		record = gb__dns_record(name, ttl_s, LDNS_RR_CLASS_IN, text);
	free(text);
	return record;
}

struct gb__lease *gb__node_own(struct gb__node *node, const char *id)
{
	struct gb__lease *grown = gb__realloc(node->own, (node->own_count + 1) * sizeof(*node->own));

	if (!grown)
		return NULL;
	node->own = grown;
	grown += node->own_count++;
	*grown = (struct gb__lease){ 0 };
	snprintf(grown->id, sizeof(grown->id), "%s", id);
	return grown;
}

/* Of what the record says. */
static uint64_t hash_of(const ldns_rr *record)
{
	uint64_t hash = GB__HASH64;

	for (size_t i = 0; i < ldns_rr_rd_count(record); i++) {
		const ldns_rdf *part = ldns_rr_rdf(record, i);

		hash = gb__hash64_add(hash, ldns_rdf_data(part), ldns_rdf_size(part));
	}
	return hash;
}

static const struct gb__sight *sight_of(const struct gb__node *node, uint64_t hash)
{
	for (size_t i = 0; i < node->sights_count; i++)
		if (node->sights[i].hash == hash)
			return &node->sights[i];
	return NULL;
}

int gb__node_look(struct gb__node *node, const ldns_pkt *answer, uint64_t now_ns)
{
	ldns_rdf *owner = ldns_dname_new_frm_str(node->name);
	ldns_rr_list *found = owner
		? ldns_pkt_rr_list_by_name_and_type(answer, owner, LDNS_RR_TYPE_TXT, LDNS_SECTION_ANSWER)
		: NULL;
	const size_t count = found ? ldns_rr_list_rr_count(found) : 0;
	struct gb__sight *sights = gb__alloc((count + 1) * sizeof(*sights));

	if (!owner || !sights) {
		ldns_rdf_deep_free(owner);
		ldns_rr_list_deep_free(found);
		gb__free(sights);
		return -ENOMEM;
	}
	ldns_rdf_deep_free(owner);
	for (size_t i = 0; i < count; i++) {
		const uint64_t hash = hash_of(ldns_rr_list_rr(found, i));
		const struct gb__sight *before = sight_of(node, hash);

		sights[i] = (struct gb__sight){ hash, before ? before->since_ns : now_ns };
	}
	gb__free(node->sights);
	node->sights = sights;
	node->sights_count = count;
	ldns_rr_list_deep_free(node->found);
	node->found = found;
	return 0;
}

static size_t found_count(const struct gb__node *node)
{
	return node->found ? ldns_rr_list_rr_count(node->found) : 0;
}

bool gb__node_leased(const struct gb__node *node, const char *record)
{
	struct gb__lease lease;

	for (size_t i = 0; i < found_count(node); i++)
		if (gb__lease_read(ldns_rr_list_rr(node->found, i), &lease) && has(&lease, record))
			return true;
	return false;
}

static bool is_own(const struct gb__node *node, const struct gb__lease *lease)
{
	for (size_t i = 0; i < node->own_count; i++)
		if (strcmp(node->own[i].id, lease->id) == 0)
			return true;
	return false;
}

bool gb__node_contested(const struct gb__node *node)
{
	struct gb__lease lease;

	for (size_t i = 0; i < found_count(node); i++)
		if (gb__lease_read(ldns_rr_list_rr(node->found, i), &lease) && is_own(node, &lease) &&
			lease.run != node->run)
			return true;
	return false;
}

/* Lists give memory back by not taking a record. */
static void push(struct gb__changes *changes, ldns_rr_list **list, ldns_rr *record)
{
	if (!*list)
		*list = ldns_rr_list_new();
	if (!record || !*list || !ldns_rr_list_push_rr(*list, record)) {
		ldns_rr_free(record);
		changes->failed = true;
	}
}

/* That nobody has changed the TXT records since they were asked for. */
static void require_unchanged(const struct gb__node *node, struct gb__changes *changes)
{
	ldns_rr *record;

	for (size_t i = 0; i < found_count(node); i++) {
		record = ldns_rr_clone(ldns_rr_list_rr(node->found, i));
		if (record)
			ldns_rr_set_ttl(record, 0);
		push(changes, &changes->prerequisites, record);
	}
	if (found_count(node) > 0)
		return;
	record = ldns_rr_new();
	if (record) {
		ldns_rr_set_owner(record, ldns_dname_new_frm_str(node->name));
		ldns_rr_set_type(record, LDNS_RR_TYPE_TXT);
		ldns_rr_set_class(record, LDNS_RR_CLASS_NONE);
		ldns_rr_set_ttl(record, 0);
	}
	push(changes, &changes->prerequisites, record);
}

static void add(const struct gb__node *node, uint32_t ttl_s, const char *record, struct gb__changes *changes)
{
	push(changes, &changes->changes, gb__dns_record(node->name, ttl_s, LDNS_RR_CLASS_IN, record));
}

static void take_away(ldns_rr *record, struct gb__changes *changes)
{
	if (record) {
		ldns_rr_set_class(record, LDNS_RR_CLASS_NONE);
		ldns_rr_set_ttl(record, 0);
	}
	push(changes, &changes->changes, record);
}

static bool is_over(const struct gb__node *node, size_t index, const struct gb__lease *lease, uint64_t unix_s,
	uint64_t now_ns)
{
	return unix_s > lease->until_s + GB__LEASE_CLOCKS_S ||
		now_ns - node->sights[index].since_ns >= lease->life_s * NS_PER_S;
}

/* Whether a lease that stays names it, own ones included. */
static bool stays(const struct gb__node *node, const bool *going, bool leaves, const char *record)
{
	struct gb__lease lease;

	for (size_t i = 0; !leaves && i < node->own_count; i++)
		if (has(&node->own[i], record))
			return true;
	for (size_t i = 0; i < found_count(node); i++)
		if (!going[i] && gb__lease_read(ldns_rr_list_rr(node->found, i), &lease) &&
			has(&lease, record))
			return true;
	return false;
}

static void remove_lease(const struct gb__node *node, size_t index, const bool *going, bool leaves,
	struct gb__changes *changes)
{
	const ldns_rr *record = ldns_rr_list_rr(node->found, index);
	struct gb__lease lease;

	take_away(ldns_rr_clone(record), changes);
	if (!gb__lease_read(record, &lease))
		return;
	for (unsigned i = 0; i < lease.count; i++)
		if (!stays(node, going, leaves, lease.records[i]))
			take_away(
				gb__dns_record(node->name, 0, LDNS_RR_CLASS_NONE, lease.records[i]), changes);
}

void gb__node_change(struct gb__node *node, bool leaves, uint64_t unix_s, uint64_t now_ns, uint32_t life_s,
	struct gb__changes *changes)
{
	const size_t count = found_count(node);
	bool *going = gb__alloc_zero(count + 1);
	struct gb__lease lease;

	if (!going) {
		changes->failed = true;
		return;
	}
	require_unchanged(node, changes);
	for (size_t i = 0; i < count; i++) {
		if (!gb__lease_read(ldns_rr_list_rr(node->found, i), &lease))
			continue;
		if (is_own(node, &lease) && (!leaves || lease.run == node->run)) {
			going[i] = true;
		} else if (is_over(node, i, &lease, unix_s, now_ns)) {
			going[i] = true;
			changes->removed++;
		}
	}
	for (size_t i = 0; i < count; i++)
		if (going[i])
			remove_lease(node, i, going, leaves, changes);
	for (size_t i = 0; !leaves && i < node->own_count; i++) {
		struct gb__lease *own = &node->own[i];

		own->until_s = unix_s + life_s;
		own->life_s = life_s;
		own->run = node->run;
		push(changes, &changes->changes, lease_record(node->name, life_s, own));
		for (unsigned j = 0; j < own->count; j++)
			add(node, life_s, own->records[j], changes);
	}
	gb__free(going);
}

void gb__changes_finish(struct gb__changes *changes)
{
	ldns_rr_list_deep_free(changes->prerequisites);
	ldns_rr_list_deep_free(changes->changes);
	*changes = (struct gb__changes){ 0 };
}

void gb__node_disown(struct gb__node *node)
{
	gb__free(node->own);
	node->own = NULL;
	node->own_count = 0;
}

void gb__node_finish(struct gb__node *node)
{
	gb__node_disown(node);
	ldns_rr_list_deep_free(node->found);
	gb__free(node->sights);
	*node = (struct gb__node){ 0 };
}
