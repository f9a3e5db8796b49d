output "instance" {
  description = "Name of the instance, for gcloud sql."
  value       = google_sql_database_instance.this.name
}

output "connection" {
  description = "What the service and its jobs need to connect: DB_HOST, DB_NAME and DB_USER by role; with sslmode=verify-full and the authority below."
  value = {
    host     = local.host
    database = google_sql_database.this.name
    users    = { for role in ["serve", "migrate"] : role => google_sql_user.this[role].name }
  }
}

output "max_connections" {
  description = "What the server accepts in all."
  value       = var.max_connections
}

output "server_ca" {
  description = "The authority that signed the server's certificate, PEM. Public, but the provider marks it sensitive."
  sensitive   = true
  value       = one(google_sql_database_instance.this.server_ca_cert[*].cert)
}
