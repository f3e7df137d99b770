-- ordering without a channel; t/ has the tests with channels
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS fabric CASCADE;
RESET client_min_messages;
\set VERBOSITY default
\pset null '(null)'

-- missing arguments
SELECT fabric_internal.submit(NULL, '\x00');
SELECT fabric_internal.submit('trade', NULL);
SELECT fabric_internal.raft_receive(NULL, 1, '\x00');
SELECT fabric_internal.raft_receive('trade', NULL, '\x00');
SELECT fabric_internal.raft_receive('trade', 1, NULL);
SELECT fabric_internal.raft_forward(NULL, 1, '\x00');
SELECT fabric_internal.raft_forward('trade', NULL, '\x00');
SELECT fabric_internal.raft_forward('trade', 1, NULL);
SELECT fabric.transfer_leadership(NULL);
SELECT fabric.transfer_leadership('trade', NULL);

-- a sender and a consenter must be positive numbers
SELECT fabric_internal.raft_receive('trade', -1, '\x00');
SELECT fabric_internal.raft_forward('trade', -1, '\x00');
SELECT fabric.transfer_leadership('trade', -1);

-- a channel that is not joined, and names that no channel can have
SELECT fabric_internal.submit('nowhere', '\x00');
SELECT fabric_internal.submit('No Channel', '\x00');
SELECT fabric_internal.submit('', '\x00');
SELECT fabric_internal.raft_receive('nowhere', 1, '\x00');
SELECT fabric_internal.raft_forward('nowhere', 1, '\x00');
SELECT fabric.transfer_leadership('nowhere');

-- the node orders no channel
SELECT * FROM fabric.stat_orderer WHERE channel = 'nowhere';
SELECT * FROM fabric.stat_orderer_followers WHERE channel = 'nowhere';
SELECT count(*) FROM fabric_internal.stat_orderer() WHERE channel = 'nowhere';
SELECT count(*) FROM fabric_internal.stat_orderer_followers() WHERE channel = 'nowhere';

-- evidence of broken promises
SELECT fabric.acknowledge_evidence('nowhere');
SELECT fabric.acknowledge_evidence(NULL);
SELECT count(*) FROM fabric.raft_evidence WHERE channel = 'nowhere';

-- privileges
CREATE ROLE regress_order_stranger;
CREATE ROLE regress_order_client IN ROLE fabric_client INHERIT;
CREATE ROLE regress_order_node IN ROLE fabric_node INHERIT;
CREATE ROLE regress_order_admin IN ROLE fabric_admin INHERIT;
SET ROLE regress_order_stranger;
SELECT fabric.transfer_leadership('trade');
SELECT count(*) FROM fabric.stat_orderer WHERE channel = 'nowhere';
SELECT count(*) FROM fabric.stat_orderer_followers WHERE channel = 'nowhere';
SELECT fabric_internal.submit('trade', '\x00');
SET ROLE regress_order_client;
SELECT count(*) FROM fabric.stat_orderer WHERE channel = 'nowhere';
SELECT count(*) FROM fabric.stat_orderer_followers WHERE channel = 'nowhere';
SELECT fabric.transfer_leadership('trade');
SELECT fabric.acknowledge_evidence('trade');
SELECT fabric_internal.submit('trade', '\x00');
SET ROLE regress_order_node;
SELECT fabric_internal.submit('nowhere', '\x00');
SELECT fabric_internal.raft_receive('nowhere', 1, '\x00');
SELECT fabric.transfer_leadership('nowhere');
SELECT count(*) FROM fabric_internal.raft_log;
SELECT count(*) FROM fabric_internal.raft_state;
SELECT count(*) FROM fabric_internal.node;
SET ROLE regress_order_admin;
SELECT fabric.transfer_leadership('nowhere');
SELECT fabric_internal.raft_receive('nowhere', 1, '\x00');
RESET ROLE;
DROP ROLE regress_order_stranger, regress_order_client, regress_order_node, regress_order_admin;
-- only on a consenter can an operator declare its state lost or trusted, and a loss must be
-- accepted
SELECT fabric.recover_consenter('nowhere');
SELECT fabric.trust_consenter('nowhere', true);
SELECT fabric.trust_consenter('nowhere', false);
SELECT fabric.recover_consenter(NULL);
