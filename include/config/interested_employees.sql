-- The people whose HR row changed in the window. Edit this for your own warehouse; keep the two bound
-- parameters and give every column that mapping.yaml names.
-- Return people who are no longer interested too: an interest that is taken back before the call stops it.
-- A row without a date of change belongs to no window; returning it lets the checks name it instead of losing it.
-- So does one with a placeholder like 1899-12-30, which lies before every window, or with a year mistyped into the future.
-- Does your column hold local times without a zone? Select and compare them as (changed_at at time zone 'Europe/Brussels').
-- What differs in other databases than PostgreSQL: docs/warehouses.md.
select
    employee_id,
    personnel_number,
    first_name,
    last_name,
    work_email,
    language_code,
    contract_type,
    company_code,
    bike_interest,
    changed_at
from hr.employee
where (changed_at >= :since and changed_at < :until)
   or changed_at is null
   or (changed_at >= '0001-01-01' and changed_at < '1900-01-01')
   or changed_at > current_timestamp + interval '7 days'
