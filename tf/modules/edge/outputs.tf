output "url" {
  description = "Where clients find PayFlow."
  value       = "https://${var.domain}"
}

output "address" {
  description = "The load balancer's address: the A record of the domain."
  value       = google_compute_global_address.this.address
}

output "name_servers" {
  description = "What the domain's registrar must point to, where the zone is made here."
  value       = one(google_dns_managed_zone.this[*].name_servers)
}
