-- sell one of 100 vehicles: sessions compete for the same keys, and some transactions are ordered
-- but not valid
\set n random(1, 100)
\set i :i + 1
SELECT bench.try_transfer('V' || lpad(:n::text, 5, '0'), 'Owner ' || :run || '-' || :client_id
	|| '-' || :i, '1000');
