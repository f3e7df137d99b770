-- read one vehicle at one node: simulated, not ordered
\set n random(1, 1000)
SELECT fabric.query('trade', 'vehicles', 'read_vehicle', 'V' || lpad(:n::text, 5, '0'));
