/*
 * lifecycle_arguments.c: make the arguments of _lifecycle's functions from SQL parameters, and read
 * the answer of CheckCommitReadiness
 */
#include "postgres.h"

#include "core/policy/policy.h"
#include "core/proto/proto.h"
#include "server/chaincode/chaincode_internal.h"

static void
check_parameters(const LifecycleParameters *parameters)
{
	const char *why = definition_check_name(parameters->name);

	if (why != NULL)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT), errmsg("invalid chaincode name \"%s\": %s",
														 error_excerpt(parameters->name), why)));
	why = definition_check_version(parameters->version);
	if (why != NULL)
		ereport(ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT), errmsg("invalid chaincode version \"%s\": %s",
														 error_excerpt(parameters->version), why)));
	if (parameters->sequence < 1)
		ereport(
			ERROR,
			(fb_errcode(FB_INVALID_ARGUMENT),
			 errmsg("invalid sequence %lld", (long long) parameters->sequence),
			 errdetail(
				 "The first definition of a chaincode has sequence 1; each change of it the next one.")));
}

/* empty for the default, which the nodes fill in */
static FbBytes
validation_parameter(const char *policy)
{
	FbAllocator *allocator = memory_allocator(CurrentMemoryContext);
	FbBytes bytes = FB_BYTES_EMPTY;
	FbError error;

	if (policy == NULL)
		return bytes;
	if (policy[0] == '/')
		error_check(application_policy_of_reference(allocator, policy, &bytes, &error), &error);
	else
	{
		PolicyNotice notice = {0};
		FbBytes envelope;

		error_check(policy_compile(allocator, fb_bytes_of_text(policy), &envelope, &notice, &error),
					&error);
		if (notice.text[0] != '\0')
			ereport(WARNING, (fb_errcode(FB_INVALID_POLICY), errmsg_internal("%s", notice.text),
							  notice.detail[0] ? errdetail_internal("%s", notice.detail) : 0));
		error_check(application_policy_of_envelope(allocator, envelope, &bytes, &error), &error);
	}
	return bytes;
}

#define FILL_COMMON(message, parameters)                                                          \
	do                                                                                            \
	{                                                                                             \
		check_parameters(parameters);                                                             \
		(message)->sequence = (parameters)->sequence;                                             \
		(message)->name = (char *) (parameters)->name;                                            \
		(message)->version = (char *) (parameters)->version;                                      \
		(message)->validation_parameter = proto_data(validation_parameter((parameters)->policy)); \
		(message)->collections =                                                                  \
			(parameters)->collections ? collections_of_json((parameters)->collections) : NULL;    \
		(message)->init_required = (parameters)->init_required;                                   \
	} while (0)

FbBytes
lifecycle_approve_arguments(const LifecycleParameters *parameters)
{
	Lifecycle__ApproveChaincodeDefinitionForMyOrgArgs message =
		LIFECYCLE__APPROVE_CHAINCODE_DEFINITION_FOR_MY_ORG_ARGS__INIT;
	Lifecycle__ChaincodeSource source = LIFECYCLE__CHAINCODE_SOURCE__INIT;
	Lifecycle__ChaincodeSource__Local local = LIFECYCLE__CHAINCODE_SOURCE__LOCAL__INIT;
	Lifecycle__ChaincodeSource__Unavailable unavailable =
		LIFECYCLE__CHAINCODE_SOURCE__UNAVAILABLE__INIT;

	FILL_COMMON(&message, parameters);
	if (parameters->package_id != NULL)
	{
		if (!package_is_id(parameters->package_id))
			ereport(
				ERROR,
				(fb_errcode(FB_INVALID_ARGUMENT),
				 errmsg("invalid package id \"%s\"", error_excerpt(parameters->package_id)),
				 errdetail("A package id is a label, a colon, and the hash of the package in hex."),
				 errhint(
					 "fabric.install_chaincode returns it; null approves a definition without code.")));
		local.package_id = (char *) parameters->package_id;
		source.type_case = LIFECYCLE__CHAINCODE_SOURCE__TYPE_LOCAL_PACKAGE;
		source.local_package = &local;
	}
	else
	{
		source.type_case = LIFECYCLE__CHAINCODE_SOURCE__TYPE_UNAVAILABLE;
		source.unavailable = &unavailable;
	}
	message.source = &source;
	return definition_pack(&message.base);
}

FbBytes
lifecycle_commit_arguments(const LifecycleParameters *parameters)
{
	Lifecycle__CommitChaincodeDefinitionArgs message =
		LIFECYCLE__COMMIT_CHAINCODE_DEFINITION_ARGS__INIT;

	FILL_COMMON(&message, parameters);
	return definition_pack(&message.base);
}

FbBytes
lifecycle_readiness_arguments(const LifecycleParameters *parameters)
{
	Lifecycle__CheckCommitReadinessArgs message = LIFECYCLE__CHECK_COMMIT_READINESS_ARGS__INIT;

	FILL_COMMON(&message, parameters);
	return definition_pack(&message.base);
}

List *
lifecycle_readiness_result(FbBytes payload)
{
	Lifecycle__CheckCommitReadinessResult *result;
	FbError error;
	List *list = NIL;

	error_check(PROTO_UNPACK(lifecycle__check_commit_readiness_result, payload,
							 memory_allocator(CurrentMemoryContext), &result, &error),
				&error);
	for (size_t i = 0; i < result->n_approvals; i++)
	{
		LifecycleReadiness *readiness = palloc0(sizeof(LifecycleReadiness));

		readiness->msp_id = result->approvals[i]->key;
		readiness->approved = result->approvals[i]->value;
		for (size_t k = 0; k < result->n_mismatches; k++)
			if (strcmp(result->mismatches[k]->key, readiness->msp_id) == 0 &&
				result->mismatches[k]->value != NULL)
				for (size_t m = 0; m < result->mismatches[k]->value->n_items; m++)
					readiness->mismatches =
						lappend(readiness->mismatches, result->mismatches[k]->value->items[m]);
		list = lappend(list, readiness);
	}
	return list;
}
