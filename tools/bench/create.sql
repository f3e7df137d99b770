-- register one vehicle: endorsed by the organizations, ordered, validated, committed; invoke
-- returns when it is VALID
\set i :i + 1
SELECT fabric.invoke('trade', 'vehicles', 'create_vehicle', 'B' || :run || '-' || :client_id || '-' || :i, 'Volvo', 'V60', '2020', 'Ada Adler', '20000');
