output "url" {
  description = "Where clients find PayFlow, by HTTPS."
  value       = try(module.edge[0].url, module.service.url)
}

output "address" {
  description = "The load balancer's address, for the domain's A record; none in development."
  value       = one(module.edge[*].address)
}

output "name_servers" {
  description = "Name servers of the zone, where it is made here."
  value       = one(module.edge[*].name_servers)
}

output "service" {
  description = "Name of the Cloud Run service; its own address is service_url."
  value       = module.service.name
}

output "service_url" {
  description = "The service's run.app address, which the smoke job uses from inside the network."
  value       = module.service.url
}

output "jobs" {
  description = "Names of the Cloud Run jobs, by what they do."
  value       = module.service.jobs
}

output "database_instance" {
  description = "Name of the Cloud SQL instance, for gcloud sql."
  value       = module.database.instance
}

output "connections" {
  description = "Database connections at worst, and how many are allowed."
  value       = module.service.connections
}

output "secrets" {
  description = "Ids of the secrets by name; scripts/cloud_secret.sh sets their values."
  value       = module.secrets.ids
}

output "accounts" {
  description = "E-mail addresses of the environment's service accounts, by role."
  value       = local.accounts
}
