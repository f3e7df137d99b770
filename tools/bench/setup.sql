-- functions that the scripts need at their node
CREATE SCHEMA IF NOT EXISTS bench;
GRANT USAGE ON SCHEMA bench TO fabric_client;
CREATE OR REPLACE FUNCTION bench.try_transfer(vehicle_id text, new_owner text, price text)
	RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN fabric.invoke('trade', 'vehicles', 'transfer_vehicle', vehicle_id, new_owner, price);
EXCEPTION WHEN SQLSTATE 'LF408' THEN
	-- another sale of the same vehicle was first; this transaction is in the ledger, not valid
	RETURN NULL;
END
$$;
