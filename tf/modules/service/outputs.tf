output "name" {
  description = "Name of the service: the load balancer's target, and gcloud run's argument."
  value       = google_cloud_run_v2_service.this.name
}

output "url" {
  description = "The service's own address. Outside development it answers the load balancer and this network only."
  value       = google_cloud_run_v2_service.this.uri
}

output "jobs" {
  description = "Names of the jobs, by what they do."
  value       = { for name, job in google_cloud_run_v2_job.this : name => job.name }
}

output "connections" {
  description = "Database connections at worst: two revisions at the most instances, and the jobs; and what the database accepts."
  value = {
    most    = (var.pool.writers + var.pool.readers + 1) * var.instances.max * 2 + local.job_connections
    allowed = var.database.max_connections - local.reserved_connections
  }
}
