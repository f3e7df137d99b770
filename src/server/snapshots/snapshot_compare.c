/*
 * snapshot_compare.c: which keys differ in two snapshots of a channel, as ledgerutil compare finds
 * them (internal/ledgerutil/compare/compare.go). Both are in the same order and are read once, as
 * in a merge join, so that memory does not depend on their size.
 */
#include "server/snapshots/snapshot_internal.h"

#include "miscadmin.h"

static int
compare_snapshot_keys(bool have, const StateRow *row, bool have_other, const StateRow *other)
{
	int order;

	if (!have || !have_other)
		return have ? -1 : 1;
	order = fb_bytes_compare(row->namespace_name, other->namespace_name);
	return order != 0 ? order : fb_bytes_compare(row->key, other->key);
}

static bool
is_same_row(const StateRow *row, const StateRow *other)
{
	return fb_bytes_equal(row->value, other->value) &&
		   fb_bytes_equal(row->metadata, other->metadata) &&
		   rwset_version_equal(row->version, other->version);
}

/* false: visit wants no more */
static bool
compare_states(const SnapshotContents *first, const SnapshotContents *second, bool hashed,
			   SnapshotDifference visit, void *context)
{
	SnapshotStateReader *one = snapshot_state_open(first->path, &first->metadata, hashed);
	SnapshotStateReader *two = snapshot_state_open(second->path, &second->metadata, hashed);
	StateRow row;
	StateRow other;
	bool have = snapshot_state_next(one, &row);
	bool have_other = snapshot_state_next(two, &other);
	bool wanted = true;

	while (wanted && (have || have_other))
	{
		int order = compare_snapshot_keys(have, &row, have_other, &other);

		CHECK_FOR_INTERRUPTS();
		if (order != 0 || !is_same_row(&row, &other))
			wanted = visit(context, order <= 0 ? &row : NULL, order >= 0 ? &other : NULL);
		if (order <= 0)
			have = snapshot_state_next(one, &row);
		if (order >= 0)
			have_other = snapshot_state_next(two, &other);
	}
	snapshot_state_close(one);
	snapshot_state_close(two);
	return wanted;
}

void
snapshot_compare(const char *directory, const char *other_directory, SnapshotDifference visit,
				 void *context)
{
	SnapshotContents first;
	SnapshotContents second;

	snapshot_open(directory, &first);
	snapshot_open(other_directory, &second);
	if (strcmp(first.metadata.channel, second.metadata.channel) != 0 ||
		first.metadata.last_block_number != second.metadata.last_block_number)
		ereport(ERROR, (fb_errcode(FB_INVALID_ARGUMENT),
						errmsg("the snapshots are not of the same block of the same channel"),
						errdetail("They are of block %llu of \"%s\" and of block %llu of \"%s\".",
								  (unsigned long long) first.metadata.last_block_number,
								  first.metadata.channel,
								  (unsigned long long) second.metadata.last_block_number,
								  second.metadata.channel)));
	snapshot_verify(&first);
	snapshot_verify(&second);
	if (compare_states(&first, &second, false, visit, context))
		(void) compare_states(&first, &second, true, visit, context);
}
