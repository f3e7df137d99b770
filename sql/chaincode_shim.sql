-- functions for chaincode: an error outside of a simulation, except for pure functions
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\set VERBOSITY terse

SELECT fabric.get_tx_id();
SELECT fabric.get_channel_id();
SELECT fabric.get_creator();
SELECT fabric.get_tx_timestamp();
SELECT fabric.get_function();
SELECT fabric.get_arguments();
SELECT fabric.get_transient('a');
SELECT fabric.get_transient(NULL);
SELECT * FROM fabric.list_transient();
SELECT fabric.get_client_msp_id();
SELECT fabric.get_client_id();
SELECT fabric.get_client_attribute('a');
SELECT fabric.get_state('a');
SELECT fabric.get_state('a'::bytea);
SELECT fabric.get_state_text('a');
SELECT fabric.get_state_json('a');
SELECT fabric.put_state('a', 'b');
SELECT fabric.put_state('a', '{}'::jsonb);
SELECT fabric.put_state('a', '{}'::json);
SELECT fabric.put_state('a'::bytea, 'b'::bytea);
SELECT fabric.put_state(NULL::text, NULL::text);
SELECT fabric.del_state('a');
SELECT * FROM fabric.get_state_by_range('', '');
SELECT * FROM fabric.get_state_by_range_with_pagination('', '', 10, '');
SELECT * FROM fabric.get_state_by_partial_composite_key('a', 'b');
SELECT * FROM fabric.get_state_by_partial_composite_key_with_pagination('a', '{b}', 10, '');
SELECT * FROM fabric.get_history_for_key('a');
SELECT fabric.set_event('a', 'b');
SELECT fabric.set_event('a', '{}'::jsonb);
SELECT fabric.set_state_validation_parameter('a', '');
SELECT fabric.get_state_validation_parameter('a');

-- only chaincode has the privilege to call these functions
CREATE ROLE regress_shim_user;
SET ROLE regress_shim_user;
SELECT fabric.get_state('a');
SELECT fabric.put_state('a', 'b');
SELECT fabric.get_tx_id();
SELECT fabric.create_composite_key('color', 'blue') AS pure;
RESET ROLE;
DROP ROLE regress_shim_user;

-- composite keys
SELECT fabric.create_composite_key('color', 'blue', 'car1');
SELECT fabric.create_composite_key('color');
SELECT fabric.create_composite_key('', '');
SELECT * FROM fabric.split_composite_key(fabric.create_composite_key('color', 'blue', '', 'car1'));
SELECT * FROM fabric.split_composite_key(fabric.create_composite_key('color'));
SELECT fabric.create_composite_key('color', U&'a\+10FFFFb');
SELECT fabric.create_composite_key('color', VARIADIC ARRAY['a', NULL]);
SELECT fabric.create_composite_key(NULL, 'a') IS NULL AS strict;
SELECT fabric.split_composite_key('abc');
SELECT fabric.split_composite_key('');
-- in the order of the ledger a partial key stands right before the keys that match it
SELECT fabric.create_composite_key('color', 'b') < fabric.create_composite_key('color', 'b',
	'x') AS prefix_first,
	   fabric.create_composite_key('color', 'b', 'x') < fabric.create_composite_key('color',
	   	'ba') AS whole_attributes;

-- policies of keys: organizations are sorted, each once
SELECT fabric.state_policy('peer', 'Org2MSP', 'Org1MSP', 'Org2MSP');
SELECT fabric.state_policy('member', 'Org1MSP') = fabric.state_policy('member', 'Org1MSP', 'Org1MSP') AS same;
SELECT fabric.state_policy('admin', 'Org1MSP');
SELECT fabric.state_policy('peer', VARIADIC '{}');
SELECT fabric.state_policy('peer', 'not an MSP id');
