-- privileges: everything that a role may do, one list for each role

-- Nothing but what is granted below, whatever ALTER DEFAULT PRIVILEGES says. No role may read the
-- tables themselves: the nodes of other organizations have USAGE of their schema.
REVOKE ALL ON ALL TABLES IN SCHEMA fabric, fabric_internal FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA fabric, fabric_internal FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fabric, fabric_internal FROM PUBLIC;

-- every role: functions of their arguments alone
GRANT USAGE ON SCHEMA fabric TO PUBLIC;
GRANT EXECUTE ON FUNCTION fabric.package_chaincode, fabric.package_info,
	fabric.create_composite_key(text, VARIADIC text[]), fabric.split_composite_key(bytea),
	fabric.state_policy(text, VARIADIC text[]), fabric.version, fabric.decode_block,
	fabric.decode_message, fabric.compute_tx_id, fabric.block_header_hash, fabric.identity_info,
	fabric.identity_bytes, fabric.policy_compile, fabric.policy_text,
	fabric.policy_satisfied(bytea, text[]), fabric.policy_satisfied(text, text[]),
	fabric.bytes_to_json, fabric.bytes_to_text, fabric.key_to_text, fabric_internal.tx_id_text,
	fabric_internal.validation_code_name, fabric_internal.block_signers, fabric_internal.key_policy,
	fabric.verify_block, fabric.encode_message, fabric.compute_config_update TO PUBLIC;

-- fabric_client: applications. Administrators may do all of this, too.
GRANT EXECUTE ON FUNCTION fabric.list_chaincodes, fabric.chaincode_settings,
	fabric_internal.stat_orderer, fabric_internal.stat_orderer_followers,
	fabric_internal.stat_conditions, fabric.add_identity, fabric.open_identity,
	fabric.close_identity, fabric.ca_certificate, fabric.ca_enroll, fabric.ca_reenroll,
	fabric.invoke, fabric.query, fabric.submit_transaction, fabric.evaluate_transaction,
	fabric.new_proposal, fabric.endorse, fabric.submit, fabric.commit_status, fabric.evaluate,
	fabric.check_commit_readiness, fabric.endorsement_plan, fabric.get_block,
	fabric.get_block_by_hash, fabric.get_block_by_tx_id, fabric.get_transaction, fabric.chain_info,
	fabric.state_digest, fabric.get_history(text, text, text),
	fabric.get_history(text, text, bytea), fabric.state_at, fabric_internal.envelope_bytes,
	fabric_internal.envelope_creator, fabric_internal.envelope_arguments,
	fabric_internal.envelope_event, fabric_internal.organizations, fabric_internal.nodes,
	fabric_internal.stat_channel, fabric_internal.stat_workers, fabric_internal.stat_validation,
	fabric_internal.stat_relay, fabric_internal.stat_validation_work, fabric_internal.stat_work,
	fabric_internal.stat_notifications, fabric.verify_chain, fabric.config,
	fabric.sign_config_update, fabric.submit_config_update TO fabric_client, fabric_admin;
GRANT SELECT ON fabric.chaincodes, fabric.raft_evidence, fabric.stat_orderer,
	fabric.stat_orderer_followers, fabric.channels, fabric.blocks, fabric.transactions,
	fabric.world_state, fabric.history, fabric.events, fabric.organizations, fabric.nodes,
	fabric.stat_channel, fabric.stat_conditions, fabric.stat_workers, fabric.stat_validation,
	fabric.stat_relay, fabric.stat_validation_work, fabric.stat_work,
		fabric.stat_notifications TO fabric_client,
	fabric_admin;

-- fabric_admin: what else administrators of the node may do. Only superusers may call
-- fabric.ca_export and fabric.ca_drop, until they grant them.
GRANT EXECUTE ON FUNCTION fabric.create_channel, fabric.join_channel, fabric.leave_channel,
	fabric.set_channel_source, fabric.import_block, fabric.install_chaincode,
	fabric.uninstall_chaincode, fabric.get_installed_package, fabric.transfer_leadership,
	fabric.recover_consenter, fabric.trust_consenter, fabric.acknowledge_evidence,
	fabric.drop_identity, fabric.grant_identity, fabric.revoke_identity, fabric.ca_create,
	fabric.ca_register, fabric.ca_revoke, fabric.ca_crl, fabric.ca_import(bytea, text),
	fabric.ca_import(text, text, text, text, text), fabric.approve_chaincode,
	fabric.commit_chaincode, fabric.rebuild_state, fabric.repair_tables, fabric.repair_chain,
	fabric.snapshot, fabric.verify_snapshot, fabric.compare_snapshots
	TO fabric_admin;
GRANT SELECT ON fabric.installed_chaincodes, fabric.identities, fabric.cas, fabric.ca_identities,
	fabric.ca_certificates TO fabric_admin;

-- fabric_node: the other organizations' nodes
GRANT USAGE ON SCHEMA fabric_internal TO fabric_node;
GRANT EXECUTE ON FUNCTION fabric_internal.submit, fabric_internal.raft_receive,
	fabric_internal.raft_forward, fabric_internal.endorse, fabric_internal.deliver,
	fabric_internal.private_put, fabric_internal.private_get TO fabric_node;

-- fabric_chaincode: what the functions of chaincode may call during a simulation
GRANT EXECUTE ON FUNCTION fabric.get_tx_id(), fabric.get_channel_id(), fabric.get_creator(),
	fabric.get_tx_timestamp(), fabric.get_function(), fabric.get_arguments(),
	fabric.get_transient(text), fabric.list_transient(), fabric.get_client_msp_id(),
	fabric.get_client_id(), fabric.get_client_attribute(text), fabric.get_state(text),
	fabric.get_state_text(text), fabric.get_state_json(text), fabric.put_state(text, text),
	fabric.put_state(text, bytea), fabric.put_state(text, json), fabric.put_state(text, jsonb),
	fabric.del_state(text), fabric.get_state_by_range(text, text),
	fabric.get_state_by_range_with_pagination(text, text, int, text), fabric.get_state(bytea),
	fabric.get_state_text(bytea), fabric.get_state_json(bytea), fabric.put_state(bytea, text),
	fabric.put_state(bytea, bytea), fabric.put_state(bytea, json), fabric.put_state(bytea, jsonb),
	fabric.del_state(bytea), fabric.get_state_by_range(bytea, bytea),
	fabric.get_state_by_range_with_pagination(bytea, bytea, int, bytea),
	fabric.get_state_by_partial_composite_key(text, VARIADIC text[]),
	fabric.get_state_by_partial_composite_key_with_pagination(text, text[], int, bytea),
	fabric.get_history_for_key(text), fabric.set_state_validation_parameter(text, bytea),
	fabric.get_state_validation_parameter(text), fabric.get_history_for_key(bytea),
	fabric.set_state_validation_parameter(bytea, bytea),
	fabric.get_state_validation_parameter(bytea), fabric.set_event(text, text),
	fabric.set_event(text, bytea), fabric.set_event(text, json), fabric.set_event(text, jsonb)
	TO fabric_chaincode;
