/* condition_functions.c: current problems of this node (pg/condition.c) */
#include "server/surface/surface_internal.h"

FABRIC_FUNCTION(fabric_internal_stat_conditions);

static Datum
text_or_null(const char *text, bool *is_null)
{
	*is_null = text[0] == '\0';
	return *is_null ? (Datum) 0 : CStringGetTextDatum(text);
}

/* stat_conditions() */
Datum
fabric_internal_stat_conditions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Condition *conditions;
	int conditions_count;

	shmem_require();
	InitMaterializedSRF(fcinfo, 0);
	conditions = conditions_list(&conditions_count);
	for (int i = 0; i < conditions_count; i++)
	{
		const Condition *condition = &conditions[i];
		Datum values[11];
		bool nulls[11] = {false};

		values[0] = CStringGetTextDatum(condition->process);
		values[1] = text_or_null(condition->channel, &nulls[1]);
		values[2] = CStringGetTextDatum(condition->topic);
		values[3] = text_or_null(condition->subject, &nulls[3]);
		values[4] = CStringGetTextDatum(fb_status_sqlstate(condition->status));
		values[5] = CStringGetTextDatum(condition->message);
		values[6] = text_or_null(condition->detail, &nulls[6]);
		values[7] = text_or_null(condition->hint, &nulls[7]);
		values[8] = TimestampTzGetDatum(condition->since);
		values[9] = TimestampTzGetDatum(condition->last_at);
		values[10] = Int64GetDatum((int64) condition->count);
		RESULT_ADD(result, values, nulls);
	}
	return (Datum) 0;
}
