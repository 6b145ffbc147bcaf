-- Database floor of a settlement: what the product writes when it accepts a pharmacy bill of ten
-- lines without a quote, statement by statement, in one durable commit. No decision is taken here
-- and nothing but the remembered scan is read: no design that keeps these rows can be faster.
-- `bench/floors.py` passes the texts (answer, inputs, result) of a settlement that the product made.
\set number random(1, :scans)
\set seq random(1000, 2000000000)
\set a random(0, 1000000000000000)
\set b random(0, 1000000000000000)
SELECT id AS scan, member_id AS member, merchant_id AS merchant, terminal_id AS terminal, account_id AS account FROM bench_scan WHERE number = :number \gset
BEGIN;
INSERT INTO messaging_inboxentry (actor, key, circle, path, content_hash, status, code, param, body, request_id, received_at) VALUES ('terminal:' || :terminal, bench_id(:a, 1)::text, 'merchant:' || :merchant, 'settle', :hash, NULL, '', '', '', :hash::varchar(32), now()) RETURNING id AS inbox \gset
SELECT id FROM voucher_member WHERE id = :member FOR NO KEY UPDATE;
INSERT INTO settlement_visit (id, merchant_id, member_id, scan_id, kind, department, doctor, diagnoses, opened_at, closed_at, business_date) VALUES (bench_id(:a, 2), :merchant, :member, :scan::uuid, 'pharmacy', '', '', '[]', now(), now(), current_date);
INSERT INTO settlement_feebatch (id, visit_id, number, service_date, department, doctor, total_fen, uploaded_at) VALUES (bench_id(:a, 3), bench_id(:a, 2), 1, current_date, '', '', 30000, now());
INSERT INTO settlement_line (fee_batch_id, settlement_id, number, code, national_code, name, quantity, unit_price, amount_fen, split_pack, trace_codes, prescription_number) SELECT bench_id(:a, 3), bench_id(:b, 4), line, 'I00001', 'XB00000001', :name, '1', '30.00', 3000, false, '[]', '' FROM generate_series(1, :lines) line;
INSERT INTO settlement_settlement (id, visit_id, scan_id, member_id, merchant_id, terminal_id, operator, member_seq, state, benefit_kind, disease_code, area_code, policy_id, engine_version, service_date, business_date, benefit_year, accounting_month, total_fen, fund_fen, account_fen, relative_fen, cash_fen, refunded_fen, inputs, result, trace_hash, accepted_at) VALUES (bench_id(:b, 4), bench_id(:a, 2), :scan::uuid, :member, :merchant, :terminal, '', :seq, 'accepted', 'chronic', 'M03900', '370300', :policy, '1', current_date, current_date, 2026, current_date, 30000, 20000, 1000, 0, 9000, 0, :inputs, :result, :hash, now());
INSERT INTO settlement_share (settlement_id, payer, amount_fen) VALUES (bench_id(:b, 4), 'pool', 20000), (bench_id(:b, 4), 'account', 1000), (bench_id(:b, 4), 'cash', 9000);
UPDATE settlement_account SET balance_fen = balance_fen - 1000 WHERE id = :account;
INSERT INTO settlement_yeartodate (member_id, benefit_year, amounts) VALUES (:member, :year, :amounts) ON CONFLICT (member_id, benefit_year) DO UPDATE SET amounts = excluded.amounts;
INSERT INTO messaging_outboxentry (topic, subject, created_at, attempts, due_at, last_error) VALUES (:topic, bench_id(:b, 4), now(), 0, 'infinity', '');
UPDATE messaging_inboxentry SET status = 201, code = '', param = '', body = :answer WHERE id = :inbox;
COMMIT;
