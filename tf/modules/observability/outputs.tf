output "alert_policies" {
  description = "Ids of the alert policies by alert."
  value       = { for key, policy in google_monitoring_alert_policy.this : key => policy.id }
}

output "notification_channels" {
  description = "Ids of the e-mail channels by address."
  value       = { for address, channel in google_monitoring_notification_channel.email : address => channel.id }
}

output "log_bucket" {
  description = "Id of the bucket with the service's logs, for gcloud logging."
  value       = google_logging_project_bucket_config.this.id
}

output "dashboard" {
  description = "Id of the dashboard."
  value       = google_monitoring_dashboard.this.id
}
