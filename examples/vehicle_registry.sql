-- A vehicle registry as chaincode: the functions of Hyperledger Fabric's asset-transfer sample, in
-- PL/pgSQL and SQL.
--
-- A vehicle is one key of the world state: the key is its id, and the value is a JSON object {id,
-- make, model, year, owner, price}. The functions are ordinary functions: arguments have types,
-- errors reach the client with message, detail and hint, and a result can have any type. They read
-- and write the ledger only through the functions of schema fabric.

CREATE FUNCTION vehicle_exists(vehicle_id text) RETURNS boolean
LANGUAGE sql AS $$
	SELECT fabric.get_state(vehicle_id) IS NOT NULL
$$;

CREATE FUNCTION create_vehicle(vehicle_id text, make text, model text, year integer, owner text,
	price integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF fabric.get_state(vehicle_id) IS NOT NULL THEN
		RAISE EXCEPTION 'vehicle "%" is registered already', vehicle_id;
	END IF;
	IF price < 0 THEN
		RAISE EXCEPTION 'the price of vehicle "%" is negative', vehicle_id
			USING DETAIL = format('The price is %s.', price);
	END IF;
	PERFORM fabric.put_state(vehicle_id,
		jsonb_build_object('id', vehicle_id, 'make', make, 'model', model, 'year', year,
			'owner', owner, 'price', price));
END
$$;

CREATE FUNCTION read_vehicle(vehicle_id text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
	vehicle jsonb := fabric.get_state_json(vehicle_id);
BEGIN
	IF vehicle IS NULL THEN
		RAISE EXCEPTION 'vehicle "%" is not registered', vehicle_id
			USING HINT = 'Register it with create_vehicle.';
	END IF;
	RETURN vehicle;
END
$$;

CREATE FUNCTION update_vehicle(vehicle_id text, make text, model text, year integer, owner text,
	price integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM read_vehicle(vehicle_id);
	PERFORM fabric.put_state(vehicle_id,
		jsonb_build_object('id', vehicle_id, 'make', make, 'model', model, 'year', year,
			'owner', owner, 'price', price));
END
$$;

CREATE FUNCTION delete_vehicle(vehicle_id text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM read_vehicle(vehicle_id);
	PERFORM fabric.del_state(vehicle_id);
END
$$;

-- returns the former owner; applications that listen for events learn of the sale
CREATE FUNCTION transfer_vehicle(vehicle_id text, new_owner text, sale_price integer) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	vehicle jsonb := read_vehicle(vehicle_id);
BEGIN
	IF vehicle->>'owner' = new_owner THEN
		RAISE EXCEPTION 'vehicle "%" belongs to "%" already', vehicle_id, new_owner;
	END IF;
	PERFORM fabric.put_state(vehicle_id,
		vehicle || jsonb_build_object('owner', new_owner, 'price', sale_price));
	PERFORM fabric.set_event('sold',
		jsonb_build_object('id', vehicle_id, 'from', vehicle->'owner', 'to', new_owner,
			'price', sale_price)::text);
	RETURN vehicle->>'owner';
END
$$;

CREATE FUNCTION list_vehicles() RETURNS SETOF jsonb
LANGUAGE sql AS $$
	SELECT convert_from(value, 'UTF8')::jsonb FROM fabric.get_state_by_range('', '')
$$;
