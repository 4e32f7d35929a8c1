//! Every SQL statement, the migrations and the job queue, on SQLite and PostgreSQL.
