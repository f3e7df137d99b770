/*
 * fixed_settings: give all settings the same values while chaincode runs, for every caller.
 *
 * settings_table.c has the values. Most settings are plain variables of the server: their values
 * are written directly and restored when the call ends, which costs one comparison each when they
 * are right already, as in most sessions. Settings with an assign hook are set with
 * set_config_option, and the end of the call's subtransaction restores them.
 *
 * A setting that is not in the table, and that every client can set, gets the value that it has
 * without configuration: it belongs to an extension that may change how queries are planned or run.
 * Settings of a library that is not loaded yet are placeholders; loading it in the middle of a call
 * would turn them into settings with the caller's values. Therefore the libraries of procedural
 * languages are loaded before.
 */
#include "postgres.h"

#include <link.h>

#include "access/htup_details.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "server/chaincode/chaincode_internal.h"

#include "server/pg/compat.h"

typedef union SettingValue
{
	bool boolean;
	int integer;
	double real;
	const char *text;
} SettingValue;

typedef struct FixedSetting
{
	struct config_generic *record;
	SettingValue wanted;
	bool is_direct;	 /* a variable without an assign hook */
	bool is_changed; /* saved holds the caller's value */
	SettingValue saved;
} FixedSetting;

static MemoryContext settings_context;
static FixedSetting *settings;
static int settings_count;
static unsigned long long libraries_seen;
static bool is_fixed;

/* languages whose libraries are loaded */
static Oid prepared_languages[16];
static int prepared_languages_count;

/* ---- the list ---- */

static int
compare_rule(const void *name, const void *rule)
{
	return pg_strcasecmp(name, ((const SettingRule *) rule)->name);
}

/* NULL when the table has no such setting */
static const SettingRule *
settings_table_find(const char *name)
{
	return bsearch(name, settings_table, settings_table_count, sizeof(SettingRule), compare_rule);
}

static bool
setting_is_direct(struct config_generic *record)
{
	switch (record->vartype)
	{
		case PGC_BOOL:
			return ((struct config_bool *) record)->assign_hook == NULL;
		case PGC_INT:
			return ((struct config_int *) record)->assign_hook == NULL;
		case PGC_REAL:
			return ((struct config_real *) record)->assign_hook == NULL;
		case PGC_ENUM:
			return ((struct config_enum *) record)->assign_hook == NULL;
		case PGC_STRING:
			return false;
	}
	return false;
}

static SettingValue
setting_boot_value(struct config_generic *record)
{
	SettingValue value = {0};

	switch (record->vartype)
	{
		case PGC_BOOL:
			value.boolean = ((struct config_bool *) record)->boot_val;
			break;
		case PGC_INT:
			value.integer = ((struct config_int *) record)->boot_val;
			break;
		case PGC_REAL:
			value.real = ((struct config_real *) record)->boot_val;
			break;
		case PGC_ENUM:
			value.integer = ((struct config_enum *) record)->boot_val;
			break;
		case PGC_STRING:
			value.text = ((struct config_string *) record)->boot_val;
			if (value.text == NULL)
				value.text = "";
			break;
	}
	return value;
}

static SettingValue
setting_parse_value(struct config_generic *record, const char *text)
{
	SettingValue value = {0};
	bool is_valid = true;

	switch (record->vartype)
	{
		case PGC_BOOL:
			is_valid = parse_bool(text, &value.boolean);
			break;
		case PGC_INT:
			is_valid = parse_int(text, &value.integer, record->flags, NULL);
			break;
		case PGC_REAL:
			is_valid = parse_real(text, &value.real, record->flags, NULL);
			break;
		case PGC_ENUM:
			is_valid =
				config_enum_lookup_by_name((struct config_enum *) record, text, &value.integer);
			break;
		case PGC_STRING:
			value.text = text;
			break;
	}
	if (!is_valid)
		elog(ERROR, "invalid fixed value \"%s\" of setting \"%s\"", text, record->name);
	return value;
}

/* Does a rule, or the lack of a rule, give the setting a value? */
static bool
setting_wanted_value(struct config_generic *record, SettingValue *value)
{
	const SettingRule *rule = settings_table_find(record->name);

	if (record->flags & GUC_CUSTOM_PLACEHOLDER)
		return false;
	if (rule == NULL && (record->context != PGC_USERSET || (record->flags & GUC_NO_RESET_ALL)))
		return false;
	if (rule != NULL && rule->value == NULL)
		return false;
	if (rule == NULL || strcmp(rule->value, SETTING_BOOT_VALUE) == 0)
		*value = setting_boot_value(record);
	else
		*value = setting_parse_value(record, rule->value);
	return true;
}

/*
 * Number of libraries that this process has loaded so far: the C library's counter, which is the
 * second value of the first object.
 */
static int
read_library_count(struct dl_phdr_info *info, size_t size, void *count)
{
	*(unsigned long long *) count = info->dlpi_adds;
	return 1;
}

static unsigned long long
count_libraries(void)
{
	unsigned long long count = 0;

	(void) dl_iterate_phdr(read_library_count, &count);
	return count;
}

/* Build the list again after a library was loaded, which may have defined settings. */
static void
make_list(void)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "fabric fixed settings", ALLOCSET_DEFAULT_SIZES);
	unsigned long long libraries = count_libraries();
	FixedSetting *list;
	struct config_generic **records;
	int records_count;
	int count = 0;

	records = compat_settings(&records_count);
	list = MemoryContextAllocZero(context, sizeof(FixedSetting) * records_count);
	for (int i = 0; i < records_count; i++)
	{
		FixedSetting *setting = &list[count];

		if (!setting_wanted_value(records[i], &setting->wanted))
			continue;
		setting->record = records[i];
		setting->is_direct = setting_is_direct(records[i]);
		/* a setting that an earlier list has changed stays changed until the end of the call */
		for (int k = 0; k < settings_count; k++)
			if (settings[k].record == records[i] && settings[k].is_changed)
			{
				setting->is_changed = true;
				setting->saved = settings[k].saved;
			}
		count++;
	}
	if (settings_context != NULL)
		MemoryContextDelete(settings_context);
	settings_context = context;
	settings = list;
	settings_count = count;
	libraries_seen = libraries;
}

/* ---- values ---- */

static bool
setting_is_as_wanted(const FixedSetting *setting)
{
	const struct config_generic *record = setting->record;

	switch (record->vartype)
	{
		case PGC_BOOL:
			return *((const struct config_bool *) record)->variable == setting->wanted.boolean;
		case PGC_INT:
			return *((const struct config_int *) record)->variable == setting->wanted.integer;
		case PGC_REAL:
			return *((const struct config_real *) record)->variable == setting->wanted.real;
		case PGC_ENUM:
			return *((const struct config_enum *) record)->variable == setting->wanted.integer;
		case PGC_STRING:
		{
			const char *text = *((const struct config_string *) record)->variable;

			return strcmp(text != NULL ? text : "", setting->wanted.text) == 0;
		}
	}
	return false;
}

/* write a variable and return its former value */
static SettingValue
exchange_variable(struct config_generic *record, SettingValue value)
{
	SettingValue before = {0};

	switch (record->vartype)
	{
		case PGC_BOOL:
			before.boolean = *((struct config_bool *) record)->variable;
			*((struct config_bool *) record)->variable = value.boolean;
			break;
		case PGC_INT:
			before.integer = *((struct config_int *) record)->variable;
			*((struct config_int *) record)->variable = value.integer;
			break;
		case PGC_REAL:
			before.real = *((struct config_real *) record)->variable;
			*((struct config_real *) record)->variable = value.real;
			break;
		case PGC_ENUM:
			before.integer = *((struct config_enum *) record)->variable;
			*((struct config_enum *) record)->variable = value.integer;
			break;
		case PGC_STRING:
			break;
	}
	return before;
}

static const char *
setting_value_text(struct config_generic *record, SettingValue value)
{
	switch (record->vartype)
	{
		case PGC_BOOL:
			return value.boolean ? "on" : "off";
		case PGC_INT:
			return psprintf("%d", value.integer);
		case PGC_REAL:
			return psprintf("%.17g", value.real);
		case PGC_ENUM:
			return config_enum_lookup_by_value((struct config_enum *) record, value.integer);
		case PGC_STRING:
			return value.text;
	}
	return NULL;
}

static void
fix_setting(FixedSetting *setting)
{
	if (setting->is_direct)
	{
		SettingValue before = exchange_variable(setting->record, setting->wanted);

		if (!setting->is_changed)
			setting->saved = before;
		setting->is_changed = true;
	}
	else
		(void) set_config_option(setting->record->name,
								 setting_value_text(setting->record, setting->wanted), PGC_SUSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* ---- languages ---- */

static bool
language_is_prepared(Oid language)
{
	if (language == INTERNALlanguageId || language == ClanguageId || language == SQLlanguageId)
		return true;
	for (int i = 0; i < prepared_languages_count; i++)
		if (prepared_languages[i] == language)
			return true;
	return false;
}

static void
load_language(Oid language, Oid handler)
{
	FmgrInfo function;

	fmgr_info(handler, &function);
	if (prepared_languages_count < lengthof(prepared_languages))
		prepared_languages[prepared_languages_count++] = language;
}

static void
load_plpgsql(void)
{
	HeapTuple tuple = SearchSysCache1(LANGNAME, CStringGetDatum("plpgsql"));

	if (!HeapTupleIsValid(tuple))
		return;
	load_language(((Form_pg_language) GETSTRUCT(tuple))->oid,
				  ((Form_pg_language) GETSTRUCT(tuple))->lanplcallfoid);
	ReleaseSysCache(tuple);
}

/*
 * A setting with an assign hook cannot be changed here: a subtransaction of the chaincode would
 * undo it at its end, before the call is over. The call fails, also when the chaincode catches the
 * error; the next call finds the library loaded.
 */
static void
refuse_setting(const FixedSetting *setting)
{
	Simulation *simulation = simulation_current();

	fb_fail(&simulation->failure, FB_SANDBOX_VIOLATION,
			"setting \"%s\" was changed before its library was loaded", setting->record->name);
	fb_error_hint(&simulation->failure, "Call again, or reset the setting.");
	error_throw(&simulation->failure);
}

void
fixed_settings_prepare_language(Oid language)
{
	HeapTuple tuple;

	if (language_is_prepared(language))
		return;
	tuple = SearchSysCache1(LANGOID, ObjectIdGetDatum(language));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for language %u", language);
	load_language(language, ((Form_pg_language) GETSTRUCT(tuple))->lanplcallfoid);
	ReleaseSysCache(tuple);
	if (!is_fixed || count_libraries() == libraries_seen)
		return;
	make_list();
	for (int i = 0; i < settings_count; i++)
		if (!setting_is_as_wanted(&settings[i]))
		{
			if (!settings[i].is_direct)
				refuse_setting(&settings[i]);
			fix_setting(&settings[i]);
		}
}

/* ---- one call ---- */

void
fixed_settings_enter(void)
{
	Assert(!is_fixed);
	if (prepared_languages_count == 0)
		load_plpgsql();
	if (settings == NULL || count_libraries() != libraries_seen)
		make_list();
	is_fixed = true;
	for (int i = 0; i < settings_count; i++)
		if (!setting_is_as_wanted(&settings[i]))
			fix_setting(&settings[i]);
}

void
fixed_settings_leave(void)
{
	if (!is_fixed)
		return;
	for (int i = 0; i < settings_count; i++)
		if (settings[i].is_changed)
		{
			(void) exchange_variable(settings[i].record, settings[i].saved);
			settings[i].is_changed = false;
		}
	is_fixed = false;
}
