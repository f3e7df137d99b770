/*
 * maps.c: order map fields. They are received as repeated entry messages; here they are sorted,
 * each key is kept once, and missing values are added.
 */
#include "core/proto/proto_internal.h"

#include <stdlib.h>

bool
proto_is_map_entry(const ProtobufCMessageDescriptor *descriptor)
{
	size_t length = strlen(descriptor->short_name);

	return length > 5 && strcmp(descriptor->short_name + length - 5, "Entry") == 0 &&
		   descriptor->n_fields == 2 && strcmp(descriptor->fields[0].name, "key") == 0;
}

typedef struct MapSlot
{
	ProtobufCMessage *entry;
	const char *key;
	size_t index;
} MapSlot;

static int
compare_slots(const void *a, const void *b)
{
	const MapSlot *left = a;
	const MapSlot *right = b;
	int order = strcmp(left->key, right->key);

	if (order != 0)
		return order;
	return left->index < right->index ? -1 : 1;
}

static const char *
map_key(const ProtobufCMessage *entry)
{
	const ProtobufCFieldDescriptor *field = &entry->descriptor->fields[0];

	FB_ASSERT(field->type == PROTOBUF_C_TYPE_STRING);
	return *(char *const *) ((const char *) entry + field->offset);
}

static FbStatus
order_map(ProtobufCMessage **entries, size_t *count, FbAllocator *allocator, FbError *error)
{
	MapSlot *slots;
	size_t kept = 0;
	bool ordered = true;

	for (size_t i = 0; i < *count; i++)
	{
		const ProtobufCFieldDescriptor *value_field = &entries[i]->descriptor->fields[1];
		ProtobufCMessage **value =
			(ProtobufCMessage **) ((char *) entries[i] + value_field->offset);

		if (value_field->type == PROTOBUF_C_TYPE_MESSAGE && *value == NULL)
		{
			const ProtobufCMessageDescriptor *value_descriptor = value_field->descriptor;

			*value = fb_allocate_zero(allocator, value_descriptor->sizeof_message);
			if (*value == NULL)
				return fb_out_of_memory(error);
			protobuf_c_message_init(value_descriptor, *value);
		}
		if (i > 0 && strcmp(map_key(entries[i - 1]), map_key(entries[i])) >= 0)
			ordered = false;
	}
	if (ordered)
		return FB_OK;

	slots = fb_allocate_array(allocator, *count, sizeof(MapSlot));
	if (slots == NULL)
		return fb_out_of_memory(error);
	for (size_t i = 0; i < *count; i++)
		slots[i] = (MapSlot) {entries[i], map_key(entries[i]), i};
	qsort(slots, *count, sizeof(MapSlot), compare_slots);
	for (size_t i = 0; i < *count; i++)
	{
		/* of equal keys, the last one in this order was also sent last */
		if (i + 1 < *count && strcmp(slots[i].key, slots[i + 1].key) == 0)
			continue;
		entries[kept++] = slots[i].entry;
	}
	*count = kept;
	fb_release(allocator, slots);
	return FB_OK;
}

FbStatus
proto_order_maps(ProtobufCMessage *message, FbAllocator *allocator, FbError *error)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;

	for (unsigned i = 0; i < descriptor->n_fields; i++)
	{
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		void *member = (char *) message + field->offset;
		void *quantifier = (char *) message + field->quantifier_offset;

		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
		{
			size_t *count = quantifier;
			ProtobufCMessage **elements = *(ProtobufCMessage ***) member;

			if (*count > 0 && proto_is_map_entry(field->descriptor))
				FB_TRY(order_map(elements, count, allocator, error));
			for (size_t j = 0; j < *count; j++)
				FB_TRY(proto_order_maps(elements[j], allocator, error));
		}
		else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
				 *(uint32_t *) quantifier == field->id)
		{
			ProtobufCMessage *element = *(ProtobufCMessage **) member;

			if (element != NULL)
				FB_TRY(proto_order_maps(element, allocator, error));
		}
	}
	return FB_OK;
}
