-- Run by Terraform as the deploying account, as often as it changes: one transaction, every statement may run again.
-- payflow_owner makes the schema, payflow_app uses it. What payflow_app may do to a table, the migrations say, because
-- only a table's owner can grant it.
SET ROLE cloudsqlsuperuser;

DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['payflow_owner', 'payflow_app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END
$roles$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO payflow_owner;
GRANT USAGE ON SCHEMA public TO payflow_app;
