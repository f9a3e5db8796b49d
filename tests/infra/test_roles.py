"""The database's roles, made by the real script in a real PostgreSQL, as Cloud SQL runs it: by a user who is no superuser but a
member of cloudsqlsuperuser, which owns the database."""
from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import psycopg2.errors
import pytest
from servers import Database, Postgres
from workspace import TOP

SCRIPT = (TOP / "tf" / "modules" / "database" / "roles.sql").read_text()


@pytest.fixture(scope="module")
def users(postgres: Postgres) -> Iterator[dict[str, Database]]:
    """deploy has run the script twice; migrate and serve are then made with their roles, as google_sql_user does."""
    made = postgres.database(owner="cloudsqlsuperuser")
    superuser = Database(made.host, made.port, made.name, "postgres", made.password)
    superuser.sql("ALTER ROLE cloudsqlsuperuser CREATEROLE CREATEDB")

    def user(name: str, role: str) -> Database:
        superuser.sql(f'CREATE ROLE "{name}@payflow-test.iam" LOGIN PASSWORD \'{made.password}\' IN ROLE {role}')
        return Database(made.host, made.port, made.name, f"{name}@payflow-test.iam", made.password)

    deploy = user("deploy", "cloudsqlsuperuser")
    for _ in range(2):
        connection = deploy.connect()  # one transaction, as the API does it
        connection.cursor().execute(SCRIPT)
        connection.commit()
        connection.close()
    yield {"migrate": user("migrate", "payflow_owner"), "serve": user("serve", "payflow_app"), "superuser": superuser}


def test_migrate_makes_the_schema_and_serve_does_not(users: dict[str, Database]) -> None:
    users["migrate"].sql("CREATE TABLE things (n integer)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        users["serve"].sql("CREATE TABLE others (n integer)")


def test_serve_may_do_to_a_table_what_a_migration_grants(users: dict[str, Database]) -> None:
    users["migrate"].sql("CREATE TABLE granted (n integer)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        users["serve"].sql("SELECT * FROM granted")
    users["migrate"].sql("GRANT SELECT ON granted TO payflow_app")
    assert users["serve"].sql("SELECT * FROM granted") == []


def test_the_roles_themselves_log_in_nowhere(users: dict[str, Database]) -> None:
    rows = users["superuser"].sql("SELECT rolname, rolcanlogin, rolsuper, rolcreaterole FROM pg_roles"
                                  " WHERE rolname LIKE 'payflow%' ORDER BY 1")
    assert rows == [("payflow_app", False, False, False), ("payflow_owner", False, False, False)]
