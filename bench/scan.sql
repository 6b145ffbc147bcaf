-- Database floor of a scan: the remembered request, the spent code, the person read and the scan's
-- row, statement by statement, in one durable commit.
\set number random(1, :scans)
\set a random(0, 1000000000000000)
\set b random(0, 1000000000000000)
SELECT member_id AS member, merchant_id AS merchant, terminal_id AS terminal FROM bench_scan WHERE number = :number \gset
BEGIN;
INSERT INTO messaging_inboxentry (actor, key, circle, path, content_hash, status, code, param, body, request_id, received_at) VALUES ('terminal:' || :terminal, bench_id(:a, 1)::text, 'merchant:' || :merchant, 'scan', :hash, NULL, '', '', '', :hash::varchar(32), now()) RETURNING id AS inbox \gset
INSERT INTO voucher_spentcode (handle, scan_id, spent_at) VALUES (gen_random_uuid(), bench_id(:b, 2), now()) ON CONFLICT (handle) DO NOTHING;
SELECT m.id, m.name, m.birth_date, e.scheme, t.state FROM voucher_member m JOIN voucher_enrolment e ON e.member_id = m.id JOIN voucher_entitlement t ON t.enrolment_id = e.id WHERE m.id = :member;
INSERT INTO settlement_scan (id, terminal_id, merchant_id, operator, evidence_type, use, member_id, code, scanned_at, expires_at, business_date, request_id) VALUES (bench_id(:b, 2), :terminal, :merchant, '', 'voucher_code', 'pharmacy_purchase', :member, '', now(), now(), current_date, :hash::varchar(32));
UPDATE messaging_inboxentry SET status = 201, code = '', param = '', body = :answer WHERE id = :inbox;
COMMIT;
