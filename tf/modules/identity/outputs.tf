output "emails" {
  description = "E-mail addresses of the accounts, by ENVIRONMENT-ROLE, and of build."
  value       = { for key, account in google_service_account.this : key => account.email }
}

output "providers" {
  description = "Workload Identity providers by identity, for CircleCI's settings."
  value       = { for key, provider in google_iam_workload_identity_pool_provider.this : key => provider.name }
}
