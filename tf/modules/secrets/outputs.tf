output "ids" {
  description = "Short names of the secrets in their project, by name: what Cloud Run mounts and `gcloud secrets` takes."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.secret_id }
}

output "versions" {
  description = "Number of each file's content."
  value       = { for name, version in google_secret_manager_secret_version.file : name => version.secret_data_wo_version }
}
