locals {
  # With cluster mode disabled there is an endpoint to write and, with replicas, one to read from.
  endpoints = flatten([for endpoint in google_memorystore_instance.this.endpoints : [
    for connection in endpoint.connections : connection.psc_auto_connection
  ]])
  primary = one([for endpoint in local.endpoints : endpoint if endpoint.connection_type == "CONNECTION_TYPE_PRIMARY"])
}

output "url" {
  description = "REDIS_URL: the primary's endpoint, by TLS. Without a password, since log-in is by IAM token."
  value       = "rediss://${local.primary.ip_address}:${local.primary.port}"
}

output "server_ca" {
  description = "The authorities that sign the server's certificate, PEM. Public."
  value       = join("\n", flatten(google_memorystore_instance.this.managed_server_ca[*].ca_certs[*].certificates))
}
