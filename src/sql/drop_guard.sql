-- drop_guard: the library refuses to drop joined channels and authorities by mistake. A session
-- without shared_preload_libraries has not loaded it; the event trigger loads it.

CREATE FUNCTION fabric_internal.load_library() RETURNS event_trigger
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_load_library';
COMMENT ON FUNCTION fabric_internal.load_library IS 'event trigger: loads the library, which refuses to drop joined channels and authorities (fabric.allow_drop_extension)';

CREATE EVENT TRIGGER fabric_drop_guard ON ddl_command_start
	WHEN TAG IN ('DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED')
	EXECUTE FUNCTION fabric_internal.load_library();
COMMENT ON EVENT TRIGGER fabric_drop_guard IS 'loads the library before a statement that could drop the extension';
