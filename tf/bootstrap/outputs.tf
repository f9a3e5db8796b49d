output "state_bucket" {
  description = "Bucket of all environments' state: terraform init -backend-config=bucket=…."
  value       = google_storage_bucket.state.name
}

output "registry" {
  description = "Where images are pushed: REGISTRY/payflow."
  value       = module.registry.url
}

output "accounts" {
  description = "E-mail addresses of the service accounts, by ENVIRONMENT-ROLE, and of build."
  value       = module.identity.emails
}

output "workload_identity_providers" {
  description = "Workload Identity providers by identity, for CircleCI's settings."
  value       = module.identity.providers
}

output "signing_key" {
  description = "The key that signs images: cosign's gcpkms://ID."
  value       = module.registry.signing_key
}

output "sops_key" {
  description = "The key that encrypts the repository's secrets: gcp_kms in .sops.yaml."
  value       = module.registry.sops_key
}
