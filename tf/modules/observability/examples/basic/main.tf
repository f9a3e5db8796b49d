# Outputs are module.observability.NAME; the provider takes its project from GOOGLE_PROJECT.
module "observability" {
  source = "../.."

  project_id          = "payflow-example"
  region              = "europe-west1"
  environment         = "staging"
  service_name        = "payflow-staging"
  notification_emails = ["payflow@example.com"]
  uptime_host         = "api.staging.example.com"
  alerts_dir          = "${path.module}/../../../../../alerts"
  log_retention_days  = 30
  labels              = { app = "payflow", environment = "staging", cost-center = "payments" }
}
