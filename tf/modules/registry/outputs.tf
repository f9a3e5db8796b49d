output "url" {
  description = "Where images are pushed: URL/payflow."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.this.repository_id}"
}

output "signing_key" {
  description = "The key for cosign: gcpkms://ID."
  value       = google_kms_crypto_key.signing.id
}

output "sops_key" {
  description = "The key for SOPS: gcp_kms in .sops.yaml."
  value       = google_kms_crypto_key.sops.id
}
