-- The ledger as the code of revision 0005 left it, in the middle of its run `run-3`. The people are those of `person` in
-- conftest.py. Never changed once the revision is released; a newer revision gets a file of its own.

insert into o2o.registration
    (employee_id, status, email_key, payload, fingerprint, run_id, attempt_id, not_before, failures, resends, detail, passed_fuse)
values
    ('E1', 'created', 'e1@example.com', '{}', '7ae35ee2ee00b45eba2f4239', 'run-1', 1, now() - interval '2 days', 0, 0, 'HTTP 201: User was created.', true),
    ('E2', 'existing', 'e2@example.com', '{}', 'bf587c0ecb5a84d6c1ae695c', 'run-1', 2, now() - interval '2 days', 0, 0, 'HTTP 200: User was updated.', true),
    ('E3', 'rejected', 'e3@example.com', '{}', '6453c55ba982944d57cf18f8', 'run-1', 3, now() - interval '2 days', 0, 0, 'HTTP 422: no such contract', true),
    ('E4', 'withdrawn', 'e4@example.com', '{}', '3a309838914367f0af059fbc', 'run-1', null, now() - interval '2 days', 0, 0, 'HR took the interest back before the call', true),
    ('E5', 'pending', 'e5@example.com', '{}', '9f7b182caa93fe2d32fc161b', 'run-2', null, now() - interval '1 hour', 0, 0, null, false),
    ('E6', 'pending', 'e6@example.com', '{}', '2e2110b6a3f712f57dd4dd69', 'run-2', 4, now() - interval '1 minute', 1, 0, 'HTTP 503', true),
    ('E7', 'held', 'e7@example.com', '{}', 'fe583bd32d19f3f77ea45f03', 'run-2', null, now() - interval '1 hour', 0, 0, 'large batch rejected', false),
    ('E8', 'in_doubt', 'e8@example.com', '{}', 'e18880a38410b11b577e5f47', 'run-2', 5, now() - interval '30 minutes', 0, 0, 'no whole answer in time', true),
    ('E9', 'in_doubt', 'e9@example.com', '{}', 'a02ef1182631d78eda01b3e9', 'run-2', 7, now() - interval '1 day', 0, 1, 'the connection broke', true),
    ('E10', 'claimed', 'e10@example.com', '{}', '2ae42076baa8203044e00cc7', 'run-2', 8, now() - interval '1 hour', 0, 0, null, true);

update o2o.registration
set payload = jsonb_build_object('user', jsonb_build_object(
    'BikePlanCode', 'ACME-2026', 'FirstName', 'Zoë', 'LastName', 'Janssens', 'Email', email_key, 'Language', 'NL',
    'ContractType', 'clerk', 'partner_EmployeeID', employee_id, 'PersonnelNumber', 'P' || substr(employee_id, 2)));

insert into o2o.attempt
    (employee_id, run_id, kind, started_at, closed_at, outcome, http_status, milliseconds, detail, response, audited)
values
    ('E1', 'run-1', 'first', now() - interval '2 days', now() - interval '2 days' + interval '1 second', 'created', 201, 1000,
     'HTTP 201: User was created.', '{"result": "User was created.", "success": true}', true),
    ('E2', 'run-1', 'first', now() - interval '2 days', now() - interval '2 days' + interval '1 second', 'existing', 200, 1000,
     'HTTP 200: User was updated.', '{"result": "User was updated.", "success": true}', true),
    ('E3', 'run-1', 'first', now() - interval '2 days', now() - interval '2 days' + interval '1 second', 'rejected', 422, 1000,
     'HTTP 422: no such contract', '{"error": "no such contract"}', true),
    ('E6', 'run-2', 'first', now() - interval '1 hour', now() - interval '1 hour' + interval '1 second', 'busy', 503, 1000,
     'HTTP 503', '', true),
    ('E8', 'run-2', 'first', now() - interval '1 hour', now() - interval '1 hour' + interval '1 second', 'in_doubt', null, 1000,
     'no whole answer in time', null, true),
    ('E9', 'run-1', 'first', now() - interval '2 days', now() - interval '2 days' + interval '1 second', 'in_doubt', null, 1000,
     'no whole answer in time', null, true),
    ('E9', 'run-2', 'resend', now() - interval '1 day', now() - interval '1 day' + interval '1 second', 'in_doubt', null, 1000,
     'the connection broke', null, false),
    ('E10', 'run-2', 'first', now() - interval '1 hour', null, null, null, null,
     null, null, false);

insert into o2o.audit (at, run_id, employee_id, attempt_id, event, http_status, detail)
select closed_at, run_id, employee_id, id, outcome, http_status, detail from o2o.attempt where audited order by id;
insert into o2o.audit (run_id, employee_id, event, detail, actor)
values
    ('run-1', 'E4', 'withdrawn', 'HR took the interest back before the call', 'pipeline'),
    ('run-2', 'E7', 'held', 'large batch rejected', 'anna');

insert into o2o.quarantine (source_key, fingerprint, employee_id, email_key, row, reasons, rules, run_id, quarantined_at)
values
    ('E11', '633f3eae9d8997ab685c045f', 'E11', null,
     '{"employee_id": "E11", "personnel_number": "P11", "first_name": "Zoë", "last_name": "Janssens", "email": "nope",
       "language": "nl", "contract_type": "white_collar", "company": "ACME"}',
     '[{"code": "email_invalid", "words": "The e-mail address is not valid."}]', 'of-an-older-mapping', 'run-2',
     now() - interval '1 day');

insert into o2o.candidate
    (run_id, row_no, employee_id, personnel_number, first_name, last_name, email, language, contract_type, company,
     changed_at, fingerprint, email_key, source_key)
values
    ('run-3', 1, 'E12', 'P12', 'Zoë', 'Janssens', 'e12@Example.COM', 'nl', 'white_collar', 'ACME',
     now() - interval '1 hour', '0535eea19713645c5a7bdaab', 'e12@example.com', 'E12'),
    ('run-3', 2, 'E13', 'P13', 'Zoë', 'Janssens', 'e13@Example.COM', 'tlh', 'white_collar', 'ACME',
     now() - interval '1 hour', '415829d53c62903db79bcdb1', 'e13@example.com', 'E13');

insert into o2o.run_summary
    (run_id, kind, window_since, window_until, contiguous, started_at, checked_at, settled_at,
     extracted, known, quarantined, registered, withdrawn, calls, created, existing, rejected, in_doubt, not_processed,
     pending, acted_at)
values
    ('run-1', 'scheduled', null, now() - interval '2 days', true, now() - interval '2 days', now() - interval '2 days',
     now() - interval '2 days', 5, 0, 0, 5, 1, 4, 1, 1, 1, 1, 0, 0, now() - interval '2 days'),
    ('run-2', 'scheduled', now() - interval '3 days', now() - interval '1 hour', true, now() - interval '1 hour',
     now() - interval '1 hour', null, 6, 0, 1, 5, 0, 4, 0, 0, 0, 3, 1, 3, null),
    ('run-3', 'scheduled', now() - interval '3 days', now() - interval '10 minutes', true,
     now() - interval '10 minutes', null, null, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, null);

insert into o2o.watermark (source, until) values ('hr', now() - interval '2 days');
update o2o.delivery_state set next_call_at = now() - interval '1 hour', failures = 2, detail = '2 failures in a row, the last: the connection broke';

insert into o2o.maintenance (run_id, at, counts) values ('maintenance-1', now() - interval '1 day', '{"quarantine": 2}');

insert into o2o.owner (id, client, since, server) values (1, 'default', now() - interval '2 days', 'acc-api.o2o.be');
