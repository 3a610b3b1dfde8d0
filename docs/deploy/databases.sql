-- What the PostgreSQL of docker-compose.yaml is furnished with when its volume is new: run by psql.
\set airflow_password `cat /run/secrets/airflow_password`
create role airflow login password :'airflow_password';
create database airflow owner airflow;
revoke connect on database airflow from public;

\set ledger_password `cat /run/secrets/ledger_password`
create role o2o login password :'ledger_password';
create database o2o_ledger owner o2o;
revoke connect on database o2o_ledger from public;

-- The demo's people and its watermark stay out of the real one.
create database o2o_ledger_demo owner o2o;
revoke connect on database o2o_ledger_demo from public;
