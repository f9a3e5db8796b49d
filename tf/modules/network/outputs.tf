output "network_id" {
  description = "The VPC's id."
  value       = google_compute_network.this.id
}

output "public_subnet_id" {
  description = "The subnet for Cloud Run's interfaces."
  value       = google_compute_subnetwork.this["public"].id
}

output "private_subnet_id" {
  description = "The subnet for the data services' endpoints."
  value       = google_compute_subnetwork.this["private"].id
}

output "cache_policy_id" {
  description = "The service connection policy that Memorystore needs before it can make its endpoint."
  value       = google_network_connectivity_service_connection_policy.cache.id
}
