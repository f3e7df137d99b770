-- shim: what chaincode functions call. Outside of a simulation all but the pure ones are an error.
-- Keys are text; composite keys, which contain U+0000 and so cannot be text in PostgreSQL, are
-- bytea. Nothing that reads or writes the state may be folded or moved: VOLATILE.

CREATE FUNCTION fabric.get_tx_id() RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_tx_id';
COMMENT ON FUNCTION fabric.get_tx_id() IS 'chaincode: the id of the transaction';

CREATE FUNCTION fabric.get_channel_id() RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_channel_id';
COMMENT ON FUNCTION fabric.get_channel_id() IS 'chaincode: the channel of the transaction';

CREATE FUNCTION fabric.get_creator() RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_creator';
COMMENT ON FUNCTION fabric.get_creator() IS 'chaincode: the client''s identity (msp.SerializedIdentity)';

CREATE FUNCTION fabric.get_tx_timestamp() RETURNS timestamptz
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_tx_timestamp';
COMMENT ON FUNCTION fabric.get_tx_timestamp() IS 'chaincode: the client''s timestamp of the transaction, the same on every node';

CREATE FUNCTION fabric.get_function() RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_function';
COMMENT ON FUNCTION fabric.get_function() IS 'chaincode: the name of the called function';

CREATE FUNCTION fabric.get_arguments() RETURNS bytea[]
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_arguments';
COMMENT ON FUNCTION fabric.get_arguments() IS 'chaincode: the arguments of the call, as they were sent';

CREATE FUNCTION fabric.get_transient(name text) RETURNS bytea
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_transient';
COMMENT ON FUNCTION fabric.get_transient(text) IS 'chaincode: a value of the transient data, which the client sends beside the arguments and which never reaches the ledger; null when there is none';

CREATE FUNCTION fabric.list_transient(OUT name text, OUT value bytea) RETURNS SETOF record
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_list_transient';
COMMENT ON FUNCTION fabric.list_transient() IS 'chaincode: all values of the transient data';

CREATE FUNCTION fabric.get_client_msp_id() RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_client_msp_id';
COMMENT ON FUNCTION fabric.get_client_msp_id() IS 'chaincode: the MSP id of the client''s organization';

CREATE FUNCTION fabric.get_client_id() RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_client_id';
COMMENT ON FUNCTION fabric.get_client_id() IS 'chaincode: the client''s id, base64 of x509::subject::issuer';

CREATE FUNCTION fabric.get_client_attribute(name text) RETURNS text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_client_attribute';
COMMENT ON FUNCTION fabric.get_client_attribute(text) IS 'chaincode: an attribute that the CA put into the client''s certificate; null when there is none';

CREATE FUNCTION fabric.get_state(key text) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state';
COMMENT ON FUNCTION fabric.get_state(text) IS 'chaincode: the committed value of a key; null when the key does not exist';

CREATE FUNCTION fabric.get_state_text(key text) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_text';
COMMENT ON FUNCTION fabric.get_state_text(text) IS 'chaincode: the committed value of a key as text';

CREATE FUNCTION fabric.get_state_json(key text) RETURNS jsonb
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_json';
COMMENT ON FUNCTION fabric.get_state_json(text) IS 'chaincode: the committed value of a key as JSON';

CREATE FUNCTION fabric.put_state(key text, value text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(text, text) IS 'chaincode: write a value; an empty one deletes the key';

CREATE FUNCTION fabric.put_state(key text, value bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(text, bytea) IS 'chaincode: write a value; an empty one deletes the key';

CREATE FUNCTION fabric.put_state(key text, value json) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(text, json) IS 'chaincode: write a value; an empty one deletes the key';

CREATE FUNCTION fabric.put_state(key text, value jsonb) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state_jsonb';
COMMENT ON FUNCTION fabric.put_state(text, jsonb) IS 'chaincode: write a value; an empty one deletes the key';

CREATE FUNCTION fabric.del_state(key text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_del_state';
COMMENT ON FUNCTION fabric.del_state(text) IS 'chaincode: delete a key';

CREATE FUNCTION fabric.get_state_by_range(start_key text, end_key text, OUT key text,
	OUT value bytea) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_range';
COMMENT ON FUNCTION fabric.get_state_by_range(text, text) IS 'chaincode: the keys from start_key up to, not including, end_key; empty: from the first, to the last';

CREATE FUNCTION fabric.get_state_by_range_with_pagination(start_key text, end_key text,
	page_size int, bookmark text, OUT key text, OUT value bytea, OUT next_bookmark text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_range_with_pagination';
COMMENT ON FUNCTION fabric.get_state_by_range_with_pagination(text, text, int, text) IS 'chaincode: one page of a range; next_bookmark is empty on the last one; for queries only';

CREATE FUNCTION fabric.get_state(key bytea) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state';
COMMENT ON FUNCTION fabric.get_state(bytea) IS 'chaincode: the committed value of a key; null when the key does not exist (key as bytes, for composite keys)';

CREATE FUNCTION fabric.get_state_text(key bytea) RETURNS text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_text';
COMMENT ON FUNCTION fabric.get_state_text(bytea) IS 'chaincode: the committed value of a key as text (key as bytes, for composite keys)';

CREATE FUNCTION fabric.get_state_json(key bytea) RETURNS jsonb
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_json';
COMMENT ON FUNCTION fabric.get_state_json(bytea) IS 'chaincode: the committed value of a key as JSON (key as bytes, for composite keys)';

CREATE FUNCTION fabric.put_state(key bytea, value text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(bytea, text) IS 'chaincode: write a value; an empty one deletes the key (key as bytes, for composite keys)';

CREATE FUNCTION fabric.put_state(key bytea, value bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(bytea, bytea) IS 'chaincode: write a value; an empty one deletes the key (key as bytes, for composite keys)';

CREATE FUNCTION fabric.put_state(key bytea, value json) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state';
COMMENT ON FUNCTION fabric.put_state(bytea, json) IS 'chaincode: write a value; an empty one deletes the key (key as bytes, for composite keys)';

CREATE FUNCTION fabric.put_state(key bytea, value jsonb) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_put_state_jsonb';
COMMENT ON FUNCTION fabric.put_state(bytea, jsonb) IS 'chaincode: write a value; an empty one deletes the key (key as bytes, for composite keys)';

CREATE FUNCTION fabric.del_state(key bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_del_state';
COMMENT ON FUNCTION fabric.del_state(bytea) IS 'chaincode: delete a key (key as bytes, for composite keys)';

CREATE FUNCTION fabric.get_state_by_range(start_key bytea, end_key bytea, OUT key bytea,
	OUT value bytea) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_range';
COMMENT ON FUNCTION fabric.get_state_by_range(bytea, bytea) IS 'chaincode: the keys from start_key up to, not including, end_key; empty: from the first, to the last (key as bytes, for composite keys)';

CREATE FUNCTION fabric.get_state_by_range_with_pagination(start_key bytea, end_key bytea,
	page_size int, bookmark bytea, OUT key bytea, OUT value bytea, OUT next_bookmark bytea)
	RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_range_with_pagination';
COMMENT ON FUNCTION fabric.get_state_by_range_with_pagination(bytea, bytea, int, bytea) IS 'chaincode: one page of a range; next_bookmark is empty on the last one; for queries only (key as bytes, for composite keys)';

CREATE FUNCTION fabric.create_composite_key(object_type text,
	VARIADIC attributes text[] DEFAULT '{}') RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_shim_create_composite_key';
COMMENT ON FUNCTION fabric.create_composite_key(text, VARIADIC text[]) IS 'a composite key: object type and attributes in an order that partial keys can find';

CREATE FUNCTION fabric.split_composite_key(key bytea, OUT object_type text, OUT attributes text[])
	RETURNS record
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_shim_split_composite_key';
COMMENT ON FUNCTION fabric.split_composite_key(bytea) IS 'the parts of a composite key';

CREATE FUNCTION fabric.get_state_by_partial_composite_key(object_type text,
	VARIADIC attributes text[] DEFAULT '{}', OUT key bytea, OUT value bytea) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_partial_composite_key';
COMMENT ON FUNCTION fabric.get_state_by_partial_composite_key(text, VARIADIC text[]) IS 'chaincode: the composite keys that begin with these parts';

CREATE FUNCTION fabric.get_state_by_partial_composite_key_with_pagination(object_type text,
	attributes text[], page_size int, bookmark bytea, OUT key bytea, OUT value bytea,
	OUT next_bookmark bytea) RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_by_partial_composite_key_with_pagination';
COMMENT ON FUNCTION fabric.get_state_by_partial_composite_key_with_pagination(text, text[], int, bytea) IS 'chaincode: one page of the composite keys that begin with these parts; for queries only';

CREATE FUNCTION fabric.get_history_for_key(key text, OUT tx_id text, OUT value bytea,
	OUT "timestamp" timestamptz, OUT is_delete boolean, OUT block_number bigint)
	RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_history_for_key';
COMMENT ON FUNCTION fabric.get_history_for_key(text) IS 'chaincode: the writes of a key, newest first; not part of the read set';

CREATE FUNCTION fabric.set_state_validation_parameter(key text, policy bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_state_validation_parameter';
COMMENT ON FUNCTION fabric.set_state_validation_parameter(text, bytea) IS 'chaincode: the endorsement policy of a key, bytes of a SignaturePolicyEnvelope; empty: no policy of its own';

CREATE FUNCTION fabric.get_state_validation_parameter(key text) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_validation_parameter';
COMMENT ON FUNCTION fabric.get_state_validation_parameter(text) IS 'chaincode: the endorsement policy of a key; null when it has none';

CREATE FUNCTION fabric.get_history_for_key(key bytea, OUT tx_id text, OUT value bytea,
	OUT "timestamp" timestamptz, OUT is_delete boolean, OUT block_number bigint)
	RETURNS SETOF record
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_history_for_key';
COMMENT ON FUNCTION fabric.get_history_for_key(bytea) IS 'chaincode: the writes of a key, newest first; not part of the read set (key as bytes, for composite keys)';

CREATE FUNCTION fabric.set_state_validation_parameter(key bytea, policy bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_state_validation_parameter';
COMMENT ON FUNCTION fabric.set_state_validation_parameter(bytea, bytea) IS 'chaincode: the endorsement policy of a key, bytes of a SignaturePolicyEnvelope; empty: no policy of its own (key as bytes, for composite keys)';

CREATE FUNCTION fabric.get_state_validation_parameter(key bytea) RETURNS bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_get_state_validation_parameter';
COMMENT ON FUNCTION fabric.get_state_validation_parameter(bytea) IS 'chaincode: the endorsement policy of a key; null when it has none (key as bytes, for composite keys)';

CREATE FUNCTION fabric.set_event(name text, payload text) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_event';
COMMENT ON FUNCTION fabric.set_event(text, text) IS 'chaincode: the event of the transaction; the last call wins';

CREATE FUNCTION fabric.set_event(name text, payload bytea) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_event';
COMMENT ON FUNCTION fabric.set_event(text, bytea) IS 'chaincode: the event of the transaction; the last call wins';

CREATE FUNCTION fabric.set_event(name text, payload json) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_event';
COMMENT ON FUNCTION fabric.set_event(text, json) IS 'chaincode: the event of the transaction; the last call wins';

CREATE FUNCTION fabric.set_event(name text, payload jsonb) RETURNS void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'fabric_shim_set_event_jsonb';
COMMENT ON FUNCTION fabric.set_event(text, jsonb) IS 'chaincode: the event of the transaction; the last call wins';

CREATE FUNCTION fabric.state_policy(role text, VARIADIC msp_ids text[]) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fabric_shim_state_policy';
COMMENT ON FUNCTION fabric.state_policy(text, VARIADIC text[]) IS 'an endorsement policy for a key: all of these organizations, by role member or peer';
